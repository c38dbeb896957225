//! The command line: the one definition from which parsing, help, manual pages and completions
//! come.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::cat::args::Cat;
use crate::create::args::Create;
use crate::detach::args::HolderWorker;
use crate::doctor::args::Doctor;
use crate::flight::args::{Fetch, Serve};
use crate::gate::args::{Offer, Take};
use crate::holders::args::{Drop, Freeze, Hold, Publish, Rename};
use crate::inout::args::{Cmp, Fill, Get};
use crate::ls::args::Ls;
use crate::moving::args::Move;
use crate::nodes::args::Nodes;
use crate::put::args::Put;
use crate::resize::args::Resize;
use crate::run::args::Run;
use crate::scan::args::{Reap, Scan};
use crate::show::args::Show;
use crate::top::args::{Top, TopScreen};
use crate::tour::args::{Tour, TourWorker};
use crate::watch::args::{Wait, Watch};

/// Chunks of memory as first-class things: named, placed, shared, frozen, measured.
///
/// An area is memory that processes share by name. It lives as long as a process holds it, and not
/// a moment longer: there is no daemon, and nothing to clean up after a crash.
#[derive(Debug, Parser)]
#[command(name = "areas", version, max_term_width = 100)]
#[command(after_help = "Start with `areas tour`: it shows everything on a real file, in under a minute.")]
#[command(after_long_help = AFTER_LONG_HELP)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// No progress and no remarks; only ids where put, create and ls would print more
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
}

const AFTER_LONG_HELP: &str = "\
Start with `areas tour`: it shows everything on a real file, in under a minute.

Sizes: bytes, or a number with K, M, G, T or P (powers of 1024): 4096, 0x1000, 64M, 1.5GiB.
Nodes: numbers and ranges, as `areas nodes` lists them: 0-3,8; or `all` for those allowed; or `fastest`, `nearest`, `most-free` (the most free memory), as seen from the CPU on which this command runs; or a memory space of `areas nodes`: \
`highest-capacity`, `highest-bandwidth`, `lowest-latency`. Both are seen from elsewhere with `@`: `lowest-latency@node1`, \
`fastest@cpu3`.

Exit status: 0, 1 failed, 2 wrong usage, 3 no such area, 4 timed out; 128+n when signal n ended it; that of COMMAND where \
there is one.

Environment: AREAS_DIR is the registry's folder, a path from / on, by default /dev/shm/areas-UID; \
AREAS_WITHOUT names system calls for which a sandbox kills the process (pidfd_getfd,cachestat,mincore,move_pages); \
NO_COLOR, TERM, COLUMNS and the locale are respected.";

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Put(Put),
    Create(Create),
    Ls(Ls),
    Show(Show),
    Top(Top),
    Cat(Cat),
    Move(Move),
    Resize(Resize),
    Wait(Wait),
    Watch(Watch),
    Scan(Scan),
    Reap(Reap),
    Offer(Offer),
    Take(Take),
    Serve(Serve),
    Fetch(Fetch),
    Nodes(Nodes),
    Doctor(Doctor),
    Tour(Tour),
    Completions(Completions),
    Man(Man),
    TourWorker(TourWorker),
    CompleteNames(CompleteNames),
    TopScreen(TopScreen),
    Get(Get),
    Cmp(Cmp),
    Fill(Fill),
    Hold(Hold),
    Publish(Publish),
    Rename(Rename),
    Freeze(Freeze),
    Drop(Drop),
    HolderWorker(HolderWorker),
    Run(Run),
}

/// Print completions for a shell
#[derive(Debug, clap::Args)]
pub(crate) struct Completions {
    /// The shell
    pub(crate) shell: clap_complete::Shell,
}

/// Print what may be meant by an area, for completions
#[derive(Debug, clap::Args)]
#[command(hide = true)]
pub(crate) struct CompleteNames {
    /// No ids
    #[arg(long)]
    pub(crate) names: bool,
    /// What was typed of it
    #[arg(allow_hyphen_values = true)]
    pub(crate) word: Option<String>,
}

/// Write the manual pages into a folder
#[derive(Debug, clap::Args)]
#[command(hide = true)]
pub(crate) struct Man {
    /// The folder; it must be there
    pub(crate) dir: PathBuf,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        super::Args::command().debug_assert();
    }
}
