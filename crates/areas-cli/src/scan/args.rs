//! What can be said to `areas scan` and `areas reap`.

use std::ffi::OsString;

use clap::ValueEnum;
use clap::builder::{OsStringValueParser, TypedValueParser};

use crate::target;

/// List all shared memory that can be seen, of areas and of others: how large, who holds it, and
/// whether any process does
///
/// What is leaked comes first: no process holds it, and the kernel itself says so. It stays in RAM,
/// or in swap, until it is removed; the row has the command that does. `idle` memory is held by no
/// process at this moment, while its maker still runs. Of `unknown` memory no holder is seen, and
/// it cannot be proved that there is none.
///
/// KIND is python (multiprocessing.shared_memory), shm (POSIX shared memory), sem (POSIX
/// semaphores), file (in folders of /dev/shm), sysv (System V), huge (files of hugetlbfs), memfd,
/// area (published or not), anonymous (shared without a name) or registry (the tables in which
/// processes publish areas: a few pages each, listed only where they are asked for, with --all or
/// --kind registry; the last lines count them always).
///
/// Where a registry cannot be read, all else is listed: areas' memory stands under the name that it
/// was made with, and the reason is printed on the standard error.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  areas scan --leaked                  # what no process holds, with the commands that free it
  areas scan --kind python,sysv
  areas scan --sort size --no-headings --bytes
  sudo areas scan --all-users          # with the names of all users' areas

Exit status: 0; 1 failed, or a registry could not be read, so that the names of its areas are not known; 2 wrong usage; with --leaked 3 where nothing is \
leaked.

To ask the kernel, a file that no process is seen to hold is opened for some microseconds. Another process that opens it waits for that long.")]
pub(crate) struct Scan {
    /// Only these kinds
    #[arg(long, value_name = "KIND,…", value_delimiter = ',')]
    pub(crate) kind: Vec<Kind>,
    /// Also the registry's own: the table of each process that publishes areas
    #[arg(long)]
    pub(crate) all: bool,
    /// Only what no process holds
    #[arg(long)]
    pub(crate) leaked: bool,
    /// Name areas of all users, as their registries have them: for root, looking only
    #[arg(long)]
    pub(crate) all_users: bool,
    /// Sort by this: the largest size first, else the alphabet
    #[arg(long, value_name = "COLUMN", default_value = "state")]
    pub(crate) sort: By,
    /// The other way round
    #[arg(long)]
    pub(crate) reverse: bool,
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

impl Scan {
    /// Whether the registry's own memory was asked for.
    pub(crate) fn shows_registry(&self) -> bool {
        self.all || self.kind.contains(&Kind::Registry)
    }
}

/// Free shared memory that no process holds: only after --yes, and only if the kernel proves it at
/// that moment
///
/// Without --yes it says what it would do. What a process has open or mapped, or has sent on its
/// way through a socket, is refused; so is what cannot be proved. What is freed is gone: no process
/// finds it any more by its name. Areas cannot leak, and are never freed.
///
/// A file is renamed first, and gets its name back where a process opens it at that very moment. If
/// this command is killed before that, the file stays under a name that says what it was
/// (`.areas-reap-PID-N.NAME`): `areas scan` lists it as leaked, and this command frees it like any
/// other.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  areas reap python psm_9b2f41c7           # what would be freed
  areas reap python psm_9b2f41c7 --yes
  areas reap sysv 32769 --yes
  areas reap huge /dev/hugepages/pool --yes

Exit status: 0 all freed, or would be; 1 one or more refused or failed; 2 wrong usage; 3 there is no such memory, and nothing was to be done. Of several that end in different ways it is 1; the result of each is reported.")]
pub(crate) struct Reap {
    /// What it is, as `areas scan` says
    pub(crate) kind: Kind,
    /// Its name, or number, as `areas scan` says: `hex:ff` its bytes
    #[arg(value_name = "NAME", required = true, value_parser = OsStringValueParser::new().try_map(label))]
    pub(crate) names: Vec<Label>,
    /// Free it
    #[arg(long)]
    pub(crate) yes: bool,
    /// In the /dev/shm of this process, which is in another mount namespace (a container), as
    /// `areas scan` says
    #[arg(long = "in", value_name = "PID")]
    pub(crate) inside: Option<u32>,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// What a memory is called: any bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Label(pub(crate) Vec<u8>);

fn label(text: OsString) -> areas::Result<Label> {
    target::any_bytes(text).map(Label)
}

/// A kind of shared memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Kind {
    /// Of Python's multiprocessing.shared_memory: psm_… and pym-… in /dev/shm
    Python,
    /// POSIX shared memory: files in /dev/shm
    Shm,
    /// POSIX semaphores: sem.… in /dev/shm
    Sem,
    /// Files in folders of /dev/shm
    File,
    /// The registry's own: tables of processes that publish areas
    Registry,
    /// Segments of System V
    Sysv,
    /// Files of hugetlbfs
    Huge,
    /// Memory objects without a name in a file system
    Memfd,
    /// Areas, published or not
    Area,
    /// Shared memory without a name or a descriptor
    Anonymous,
}

impl Kind {
    /// As it is written on the command line.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Kind::Python => "python",
            Kind::Shm => "shm",
            Kind::Sem => "sem",
            Kind::File => "file",
            Kind::Sysv => "sysv",
            Kind::Huge => "huge",
            Kind::Memfd => "memfd",
            Kind::Area => "area",
            Kind::Anonymous => "anonymous",
            Kind::Registry => "registry",
        }
    }
}

/// What the listing is sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum By {
    /// What is leaked first, and then the largest
    State,
    /// How large it is
    Size,
    /// How much of it is in RAM, or swapped out
    Ram,
    Kind,
    Name,
    /// The user that owns it
    User,
}
