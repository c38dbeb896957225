//! What a name is published with: options that several subcommands have.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use areas::{Name, Note};
use clap::builder::{OsStringValueParser, TypedValueParser};

/// What put, create and publish have in common: an area gets a name.
#[derive(Debug, clap::Args)]
pub(crate) struct Publishing {
    /// Refuse if another area has that name: of several that ask for that at once, one gets it
    #[arg(long)]
    pub(crate) exclusive: bool,
    /// Note something beside it for processes that find it: up to 256 bytes that mean what you say,
    /// a type and a shape for instance
    #[arg(long, value_name = "NOTE", value_parser = OsStringValueParser::new().try_map(note))]
    pub(crate) note: Option<Note>,
}

/// The name of an area, as it was typed.
pub(crate) fn name(text: OsString) -> areas::Result<Name> {
    Name::new(text.as_bytes())
}

fn note(text: OsString) -> areas::Result<Note> {
    Note::new(text.as_bytes())
}
