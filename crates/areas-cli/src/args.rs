//! The command line: the one definition from which parsing, help, manual pages and completions
//! come.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use areas::{Bytes, Name, Note};
use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Parser, Subcommand};

use crate::choice::Origin;
use crate::column::Column;
use crate::doctor::args::Doctor;
use crate::flight::args::{Fetch, Serve};
use crate::gate::args::{Offer, Take};
use crate::holders::args::{Drop, Freeze, Hold, HolderWorker, Publish, Rename};
use crate::inout::args::{Cmp, Fill, Get};
use crate::placing::{Place, Placing};
use crate::run::args::Run;
use crate::scan::args::{Reap, Scan};
use crate::target::{Pattern, Target};
use crate::top::args::{Top, TopScreen};
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

/// Put files into named areas, and hold them
///
/// An area is filled first and published when it is complete: a process that finds it finds all of
/// it. Of several files, all are put, or none. They are held until a signal ends this command, or
/// until COMMAND ends.
///
/// With --follow, the area is published at once and grows as the stream comes in. Its size is in
/// whole pages; how many bytes are there stands in its note: `bytes=81920 ended=no`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  areas put model.bin --name model --policy interleave --freeze
  tar c FOLDER | areas put - --name archive
  areas put data --name data -- ./worker    # there as long as the worker runs
  areas put *.bin --name 'models/{}' --detach    # models/a.bin and so on, held in the background until `areas drop`
  tail -c +1 -f LOG | areas put - --name log --follow
  areas put data --name data --split 0:1,1:3    # the first quarter on node 0, the rest on node 1")]
pub(crate) struct Put {
    /// The files; `-` is the standard input
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// The name that others find it by: 1 to 255 bytes, in which `{}` stands for the file's own
    /// name; without it, that name
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<OsString>,
    #[command(flatten)]
    pub(crate) publishing: Publishing,
    #[command(flatten)]
    pub(crate) holding: Holding,
    /// Freeze it: no process can change it any more, not even root's; with --follow, at the
    /// stream's end
    #[arg(long)]
    pub(crate) freeze: bool,
    /// Let the area grow as the stream comes in, for all its holders at once
    #[arg(long, conflicts_with_all = ["note", "detach", "split"])]
    pub(crate) follow: bool,
    /// Up to where it may grow: each of its holders takes that many addresses
    #[arg(long, value_name = "MAX", requires = "follow", default_value = "64G")]
    pub(crate) growable: Bytes,
    #[command(flatten)]
    pub(crate) placing: Placing,
}

/// Create a named area full of zeros, and hold it
///
/// Its pages are taken as they are touched, where its placement says, unless --populate or a lock
/// takes them at once.
#[derive(Debug, clap::Args)]
pub(crate) struct Create {
    /// How large it is
    #[arg(long)]
    pub(crate) size: Bytes,
    /// The name that others find it by: 1 to 255 bytes
    #[arg(long, value_parser = OsStringValueParser::new().try_map(name))]
    pub(crate) name: Name,
    #[command(flatten)]
    pub(crate) publishing: Publishing,
    #[command(flatten)]
    pub(crate) holding: Holding,
    /// Let it grow up to this size, for all holders of a clone at once
    #[arg(long, value_name = "MAX")]
    pub(crate) growable: Option<Bytes>,
    /// Let it grow up to this size, and shrink, for all holders of a clone at once
    #[arg(long, value_name = "MAX", conflicts_with = "growable")]
    pub(crate) resizable: Option<Bytes>,
    /// Map it at this address or not at all: `0x700000000000`
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    pub(crate) at: Option<usize>,
    /// Take all its pages now, in parallel
    #[arg(long)]
    pub(crate) populate: bool,
    #[command(flatten)]
    pub(crate) placing: Placing,
}

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

/// How areas are held.
#[derive(Debug, clap::Args)]
pub(crate) struct Holding {
    /// Print readiness as JSON, on one line each
    #[arg(long, conflicts_with = "command")]
    pub(crate) json: bool,
    /// Hold it in the background: this command ends as soon as a process of its own, in a session
    /// of its own, has it; `areas drop` ends that one
    #[arg(long, conflicts_with = "command")]
    pub(crate) detach: bool,
    /// Hold it as long as this command runs, which sees AREA_ID and AREA_NAME (of several, those of
    /// the first one, and AREA_IDS); pass signals on to it, return its status
    ///
    /// The standard output is the command's alone: nothing is printed when the area is ready, the
    /// command is started.
    ///
    /// Passed on are HUP, INT, QUIT, ALRM, TERM, USR1, USR2, VTALRM, PROF, IO, PWR, STKFLT, WINCH
    /// and all real-time signals (without what was sent along with them), but for INT, QUIT and
    /// WINCH where the terminal sends them to the command itself. Signals that this command ignores
    /// stay ignored. What stops and continues processes (STOP, TSTP, CONT) is not passed on.
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

/// List all areas that can be seen
///
/// The last line has what all take together (memory that several areas share counts once), what
/// processes hold without publishing it, and the registry that was looked in.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  areas ls --sort ram                        # what takes most, first
  areas ls 'frame*' --columns id,name,object,command
  areas ls --group                           # a row a memory, with all areas over it
  areas ls --no-headings --bytes --columns id,size | while read id size; do …; done")]
pub(crate) struct Ls {
    /// Only these: ids, names, and patterns of names with `*`, `?` and `[…]`
    #[arg(value_name = "NAME|ID", value_parser = OsStringValueParser::new().try_map(Pattern::new))]
    pub(crate) areas: Vec<Pattern>,
    /// Also memory that no process publishes: unnamed areas and clones
    #[arg(long)]
    pub(crate) all: bool,
    /// Only what this process publishes
    #[arg(long)]
    pub(crate) pid: Option<u32>,
    /// Look into this user's registry: for root, looking only. AREAS_DIR, where it is set, has to
    /// name that user's folder
    #[arg(long, value_name = "NAME|UID")]
    pub(crate) user: Option<String>,
    /// List what a server on this or another machine offers (`areas serve`), each under the name
    /// that `areas fetch` takes
    #[arg(long, value_name = "HOST:PORT", conflicts_with_all = ["all", "pid", "user", "sort", "reverse", "group", "columns", "no_headings", "bytes"])]
    pub(crate) at: Option<String>,
    /// With --at, the file with the server's token; at 127.0.0.1 it is the one that servers make by
    /// default
    #[arg(long, value_name = "FILE", requires = "at", value_hint = clap::ValueHint::FilePath)]
    pub(crate) token_file: Option<PathBuf>,
    /// With --at, encrypt, and trust a server for which these certificates vouch (PEM)
    #[arg(long, value_name = "FILE", requires = "at", value_hint = clap::ValueHint::FilePath)]
    pub(crate) tls_ca: Option<PathBuf>,
    /// With --at, give up after so many seconds in which nothing comes
    #[arg(long, value_name = "SECONDS", requires = "at", value_parser = crate::watch::args::seconds)]
    pub(crate) timeout: Option<std::time::Duration>,
    /// Sort by this: the largest size first, else the lowest number, or the alphabet
    #[arg(long, value_name = "COLUMN", hide_possible_values = true)]
    pub(crate) sort: Option<Column>,
    /// The other way round
    #[arg(long)]
    pub(crate) reverse: bool,
    /// Areas over one memory as one row
    #[arg(long, conflicts_with = "json")]
    pub(crate) group: bool,
    /// What to show
    #[arg(long, value_name = "COLUMN,…", value_delimiter = ',', conflicts_with = "json")]
    pub(crate) columns: Vec<Column>,
    /// Rows only: no headings, no total
    #[arg(long, conflicts_with = "json")]
    pub(crate) no_headings: bool,
    /// Sizes in bytes, all digits
    #[arg(long, conflicts_with = "json")]
    pub(crate) bytes: bool,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

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

/// Move an area's pages to other nodes, and measure the result
///
/// New pages of it come from there too. Huge pages move whole. What would not move is reported,
/// with the reason: pages that several processes have mapped move only with CAP_SYS_NICE. Where
/// nothing would move, its policy is as it was.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  areas move model --nodes 1
  areas move model --policy interleave --nodes 0-3")]
pub(crate) struct Move {
    /// Its name or id: digits are an id, `name:123` is a name always, `hex:ff` its bytes
    #[arg(value_name = "NAME|ID", value_parser = OsStringValueParser::new().try_map(Target::new))]
    pub(crate) area: Target,
    #[command(flatten)]
    pub(crate) place: Place,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Change an area's size, for all holders of a clone at once
///
/// Growable areas grow; resizable ones shrink as well. No address changes.
#[derive(Debug, clap::Args)]
pub(crate) struct Resize {
    /// Its name or id: digits are an id, `name:123` is a name always, `hex:ff` its bytes
    #[arg(value_name = "NAME|ID", value_parser = OsStringValueParser::new().try_map(Target::new))]
    pub(crate) area: Target,
    /// Its new size, rounded up to whole pages
    pub(crate) size: Bytes,
}

/// Write an area's bytes to the standard output
///
/// They are read without mapping the area, so that holes stay holes.
#[derive(Debug, clap::Args)]
pub(crate) struct Cat {
    /// Its name or id: digits are an id, `name:123` is a name always, `hex:ff` its bytes
    #[arg(value_name = "NAME|ID", value_parser = OsStringValueParser::new().try_map(Target::new))]
    pub(crate) area: Target,
    /// Where to begin
    #[arg(long, default_value = "0")]
    pub(crate) offset: Bytes,
    /// How many bytes at most; without it, all that follow
    #[arg(long)]
    pub(crate) length: Option<Bytes>,
}

/// Show the machine's memory nodes: size, free memory, CPUs, caches, huge pages, distances, speed
///
/// What the kernel does not report is left out. A file of sysfs that cannot be read, or is invalid,
/// is named on standard error, and what it should have reported is left out, or `?`. CACHE is a
/// cache on the memory's own side, in front of that node.
///
/// Then the memory spaces: the nodes that are best at something, equals together, for --nodes of
/// other commands. UNKNOWN are those of which it is not known. Without --from, bandwidth and
/// latency are the best for each node with CPUs.
#[derive(Debug, clap::Args)]
pub(crate) struct Nodes {
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// See the memory spaces from a CPU or a node: `cpu3`, `node1`
    #[arg(long, value_name = "cpuN|nodeN")]
    pub(crate) from: Option<Origin>,
    /// Of another machine: a folder with a copy of its /sys
    #[arg(long, value_name = "FOLDER", value_hint = clap::ValueHint::DirPath)]
    pub(crate) sysfs: Option<PathBuf>,
}

/// Show what areas are for, on a real file: under a minute, everything that it says is measured
///
/// With --quiet it prints what does not hold, and how much does.
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

/// A number in hexadecimal after `0x`, else in decimal.
fn address(text: &str) -> Result<usize, String> {
    match text.strip_prefix("0x") {
        Some(digits) => usize::from_str_radix(digits, 16),
        None => text.parse(),
    }
    .map_err(|_| "it is not an address: digits, or hexadecimal ones after `0x`".to_owned())
}

fn note(text: OsString) -> areas::Result<Note> {
    Note::new(text.as_bytes())
}

pub(crate) fn name(text: OsString) -> areas::Result<Name> {
    Name::new(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn numbers_as_people_write_them() {
        assert_eq!(super::address("0x7000"), Ok(0x7000));
        assert_eq!(super::address("4096"), Ok(4096));
        for wrong in ["", "-1", "x", "1e400"] {
            assert!(super::address(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_definition_is_sound() {
        super::Args::command().debug_assert();
    }
}
