//! The options of get, cmp and fill.

use std::path::PathBuf;

use areas::Bytes;
use clap::builder::{OsStringValueParser, TypedValueParser};

use crate::target::Target;

/// Copy an area into a file: in parallel, with its holes, whole or not at all
///
/// Parts of the area that take no memory take no room in the file either. The file is there when it
/// is complete, under its name at once; what goes wrong before leaves no file, and an older one as
/// it was. Where a file system has no files without a name, it is called `.FILE.areas-PID` until
/// then, and SIGKILL leaves that behind.
///
/// A frozen area is copied exactly. Of any other, what processes write while it is copied may be in
/// the file in part: the command says which of the two it was. An area that another process shrinks
/// during the copy is an error.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  areas get model model.bin
  areas get model model.bin --force --sync   # replace what is there; it is on the disk when this ends
  areas get log - --length 4096 | less       # as `areas cat`

Exit status: 0, 1 failed, 2 wrong usage, 3 no such area.")]
pub(crate) struct Get {
    /// Its name or id: digits are an id, `name:123` is a name always, `hex:ff` its bytes
    #[arg(value_name = "NAME|ID", value_parser = OsStringValueParser::new().try_map(Target::new))]
    pub(crate) area: Target,
    /// The file; `-` is the standard output
    pub(crate) file: PathBuf,
    /// Where in the area to begin
    #[arg(long, default_value = "0")]
    pub(crate) offset: Bytes,
    /// How many bytes at most; without it, all that follow
    #[arg(long)]
    pub(crate) length: Option<Bytes>,
    /// Replace a file that is there; it keeps its mode
    #[arg(long)]
    pub(crate) force: bool,
    /// Wait until the file is on the disk
    #[arg(long)]
    pub(crate) sync: bool,
    /// Refuse an area that is not frozen
    #[arg(long)]
    pub(crate) exact: bool,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Compare an area with a file, byte by byte, in parallel
///
/// Prints the first byte that differs, counted from 0 as --offset is, or which of the two ends
/// first.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  areas cmp model model.bin && echo the same
  areas cmp log log.txt --length 4096        # the first page of both
  curl -s URL | areas cmp model -

Exit status: as of cmp(1), 0 the same, 1 they differ, 2 trouble: no such area, no such file, wrong usage.")]
pub(crate) struct Cmp {
    /// Its name or id: digits are an id, `name:123` is a name always, `hex:ff` its bytes
    #[arg(value_name = "NAME|ID", value_parser = OsStringValueParser::new().try_map(Target::new))]
    pub(crate) area: Target,
    /// The file; `-` is the standard input
    pub(crate) file: PathBuf,
    /// Where in the area to begin; the file is compared from its first byte
    #[arg(long, default_value = "0")]
    pub(crate) offset: Bytes,
    /// How many bytes at most
    #[arg(long)]
    pub(crate) length: Option<Bytes>,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Write a file's bytes into an area that is there
///
/// Other holders of the area see the bytes as they come. Whether all of them fit is checked first;
/// the area never becomes larger. Holes of the file are zeros. What was written before something
/// went wrong stays written, and the error says how much that is at most.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  areas fill frames --from first.raw
  areas fill frames --from second.raw --offset 64M --length 1M
  tar c FOLDER | areas fill archive --from -

Exit status: 0, 1 failed, 2 wrong usage, 3 no such area.")]
pub(crate) struct Fill {
    /// Its name or id: digits are an id, `name:123` is a name always, `hex:ff` its bytes
    #[arg(value_name = "NAME|ID", value_parser = OsStringValueParser::new().try_map(Target::new))]
    pub(crate) area: Target,
    /// The file; `-` is the standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) from: PathBuf,
    /// Where in the area the first byte goes
    #[arg(long, default_value = "0")]
    pub(crate) offset: Bytes,
    /// So many bytes of the file, and not all
    #[arg(long)]
    pub(crate) length: Option<Bytes>,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}
