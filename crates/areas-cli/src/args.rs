//! The command line: the one definition from which parsing, help, manual pages and completions come.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use areas::{Bytes, Name};
use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Parser, Subcommand};

use crate::placing::Placing;
use crate::target::Target;

/// Chunks of memory as first-class things: named, placed, shared, frozen, measured.
///
/// An area is memory that processes share by name. It lives as long as a process holds it, and not a moment longer: there
/// is no daemon, and nothing to clean up after a crash.
#[derive(Debug, Parser)]
#[command(name = "areas", version, max_term_width = 100)]
#[command(after_help = "Start with `areas tour`: it shows everything on a real file, in under a minute.")]
#[command(after_long_help = AFTER_LONG_HELP)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// No progress and no remarks; only ids where put, create and ls would tell more
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
}

const AFTER_LONG_HELP: &str = "\
Start with `areas tour`: it shows everything on a real file, in under a minute.

Sizes: bytes, or a number with K, M, G, T or P (powers of 1024): 4096, 64M, 1GiB.
Nodes: numbers and ranges, as `areas nodes` lists them: 0-3,8; or `all` for those allowed.

Exit status: 0, 1 failed, 2 wrong usage, 3 no such area, 4 timed out; 128+n when signal n ended it; that of COMMAND where \
there is one.

Environment: AREAS_DIR is the registry's folder, by default /dev/shm/areas-UID; \
NO_COLOR, TERM, COLUMNS and the locale are respected.";

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Put(Put),
    Create(Create),
    Ls(Ls),
    Show(Show),
    Cat(Cat),
    Nodes(Nodes),
    Tour(Tour),
    Completions(Completions),
    Man(Man),
    TourWorker(TourWorker),
}

/// Put a file into a named area, and hold it
///
/// The area is filled first and published when it is complete: whoever finds it finds all of it. It is held until a signal
/// ends this command, or until COMMAND ends.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  areas put model.bin --name model --policy interleave --freeze
  tar c FOLDER | areas put - --name archive
  areas put data --name data -- ./worker    # there as long as the worker runs")]
pub(crate) struct Put {
    /// The file; `-` is the standard input
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) holding: Holding,
    /// Freeze it: nobody can change it any more, root included
    #[arg(long)]
    pub(crate) freeze: bool,
    #[command(flatten)]
    pub(crate) placing: Placing,
}

/// Create a named area full of zeros, and hold it
///
/// Its pages are taken as they are touched, where its placement says, unless --populate or a lock takes them at once.
#[derive(Debug, clap::Args)]
pub(crate) struct Create {
    /// How large it is
    #[arg(long)]
    pub(crate) size: Bytes,
    #[command(flatten)]
    pub(crate) holding: Holding,
    /// Let it grow up to this size, for all who have a clone at once
    #[arg(long, value_name = "MAX")]
    pub(crate) growable: Option<Bytes>,
    /// Take all its pages now, in parallel
    #[arg(long)]
    pub(crate) populate: bool,
    #[command(flatten)]
    pub(crate) placing: Placing,
}

/// What put and create have in common: an area gets a name and is held.
#[derive(Debug, clap::Args)]
pub(crate) struct Holding {
    /// The name that others find it by: 1 to 255 bytes
    #[arg(long, value_parser = OsStringValueParser::new().try_map(name))]
    pub(crate) name: Name,
    /// Tell that it is ready as JSON, on one line
    #[arg(long, conflicts_with = "command")]
    pub(crate) json: bool,
    /// Hold it as long as this command runs, which sees AREA_ID and AREA_NAME; pass signals on to it, return its status
    ///
    /// The standard output is the command's alone: nothing is printed when the area is ready, the command is started.
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

/// List all areas that can be seen
#[derive(Debug, clap::Args)]
pub(crate) struct Ls {
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Show everything about one area: where its pages are, who holds it
#[derive(Debug, clap::Args)]
pub(crate) struct Show {
    /// Its name or id: digits are an id, `name:123` is a name always
    #[arg(value_name = "NAME|ID", value_parser = OsStringValueParser::new().try_map(Target::new))]
    pub(crate) area: Target,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Write an area's bytes to the standard output
///
/// They are read without mapping the area, so that holes stay holes.
#[derive(Debug, clap::Args)]
pub(crate) struct Cat {
    /// Its name or id: digits are an id, `name:123` is a name always
    #[arg(value_name = "NAME|ID", value_parser = OsStringValueParser::new().try_map(Target::new))]
    pub(crate) area: Target,
    /// Where to begin
    #[arg(long, default_value = "0")]
    pub(crate) offset: Bytes,
    /// How many bytes at most; without it, all that follow
    #[arg(long)]
    pub(crate) length: Option<Bytes>,
}

/// Show the machine's memory nodes: size, free memory, CPUs, huge pages, distances, speed
#[derive(Debug, clap::Args)]
pub(crate) struct Nodes {
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Show what areas are for, on a real file: under a minute, everything that it says is measured
#[derive(Debug, clap::Args)]
pub(crate) struct Tour {
    /// The file to take; by default the Rust compiler's own library, some 150 MB
    pub(crate) file: Option<PathBuf>,
}

/// Print completions for a shell
#[derive(Debug, clap::Args)]
pub(crate) struct Completions {
    /// The shell
    pub(crate) shell: clap_complete::Shell,
}

/// Write the manual pages into a folder
#[derive(Debug, clap::Args)]
#[command(hide = true)]
pub(crate) struct Man {
    /// The folder; it must be there
    pub(crate) dir: PathBuf,
}

/// A process that the tour starts
#[derive(Debug, clap::Args)]
#[command(hide = true)]
pub(crate) struct TourWorker {
    /// The area to find
    #[arg(long, value_parser = OsStringValueParser::new().try_map(name))]
    pub(crate) name: Name,
    /// The file to compare it with
    #[arg(long)]
    pub(crate) file: PathBuf,
}

fn name(text: OsString) -> areas::Result<Name> {
    Name::new(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        super::Args::command().debug_assert();
    }
}
