//! What can be said to `areas show`.

use clap::builder::{OsStringValueParser, TypedValueParser};

use crate::target::Target;

/// Show everything about one area: where its pages are, who holds it
#[derive(Debug, clap::Args)]
pub(crate) struct Show {
    /// Its name or id: digits are an id, `name:123` is a name always, `hex:ff` its bytes
    #[arg(value_name = "NAME|ID", value_parser = OsStringValueParser::new().try_map(Target::new))]
    pub(crate) area: Target,
    /// Draw where each part of it is
    #[arg(long)]
    pub(crate) map: bool,
    /// Look into this user's registry: for root, looking only. AREAS_DIR, where it is set, has to
    /// name that user's folder
    #[arg(long, value_name = "NAME|UID")]
    pub(crate) user: Option<String>,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}
