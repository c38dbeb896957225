//! The options of hold, publish, rename, freeze and drop.

use std::time::Duration;

use areas::Name;
use clap::builder::{OsStringValueParser, TypedValueParser};

use crate::holding::Holding;
use crate::publishing::{Publishing, name};
use crate::seconds::seconds;
use crate::target::Target;

/// Hold areas that are there, under the names that they have
///
/// Each is cloned, once however often it is named, and published under its own name once more: it
/// stays, and is found, when the process that holds it now ends. So a server passes its memory to
/// its next version.
///
/// A process that holds an area keeps it. If this command is killed (SIGKILL), COMMAND goes on, and
/// an area is there as long as another process holds it: COMMAND itself, if it has opened it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  areas hold state cache -- ./upgrade-server     # both survive while the server is replaced
  areas hold model --detach                      # from now on held in the background, too
  areas hold state -- systemctl restart server")]
pub(crate) struct Hold {
    /// Names or ids: digits are an id, `name:123` is a name always, `hex:ff` its bytes
    #[arg(value_name = "NAME|ID", required = true, value_parser = OsStringValueParser::new().try_map(Target::new))]
    pub(crate) areas: Vec<Target>,
    #[command(flatten)]
    pub(crate) holding: Holding,
}

/// Publish an area under one more name, and hold it
///
/// It is the same memory: what is written through one name is seen through all. Its first holder
/// need not know of it, and may go.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  areas publish model-2024 model --detach
  areas publish frames camera/frames --exclusive -- ./viewer")]
pub(crate) struct Publish {
    /// Its name or id: digits are an id, `name:123` is a name always, `hex:ff` its bytes
    #[arg(value_name = "NAME|ID", value_parser = OsStringValueParser::new().try_map(Target::new))]
    pub(crate) area: Target,
    /// The other name: 1 to 255 bytes
    #[arg(value_name = "NEW", value_parser = OsStringValueParser::new().try_map(name))]
    pub(crate) name: Name,
    #[command(flatten)]
    pub(crate) publishing: Publishing,
    #[command(flatten)]
    pub(crate) holding: Holding,
}

/// Publish an area under another name instead of its own
///
/// Its holder does it, which has to be an `areas` command; it gets a new id. Where it cannot, its
/// name and its id stay. Its other holders keep it. A program of your own gives its areas other
/// names by itself; `areas publish` gives them one more.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  areas rename model-new model
  areas rename 468051968 model --exclusive       # only if no other area has that name

Exit status: 0, 1 failed, 2 wrong usage, 3 no such area, 4 timed out: its holder has not answered.")]
pub(crate) struct Rename {
    /// Its name or id: digits are an id, `name:123` is a name always, `hex:ff` its bytes
    #[arg(value_name = "NAME|ID", value_parser = OsStringValueParser::new().try_map(Target::new))]
    pub(crate) area: Target,
    /// Its name from now on: 1 to 255 bytes
    #[arg(value_name = "NEW", value_parser = OsStringValueParser::new().try_map(name))]
    pub(crate) name: Name,
    /// Refuse if another area has that name: of several that ask for it at once, one gets it
    #[arg(long)]
    pub(crate) exclusive: bool,
    /// Wait so many seconds for its holder to do it, 0.1 at least
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    pub(crate) timeout: Duration,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Freeze an area: from then on no process can change it, not even root's
///
/// The kernel does it when no process has the area mapped for writing any more. `areas` commands
/// that hold it release that mapping by themselves; other programs are waited for as long as
/// --timeout says, and then those that can still write are reported. Nothing has changed then.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  areas freeze model
  areas freeze model --timeout 60                # wait a minute for writers to finish
  areas freeze ring --no-new-writers             # writers go on; no new one begins

Exit status: 0, 1 failed, 2 wrong usage, 3 no such area, 4 timed out: some process can still write, or does not \
answer.")]
pub(crate) struct Freeze {
    /// Its name or id: digits are an id, `name:123` is a name always, `hex:ff` its bytes
    #[arg(value_name = "NAME|ID", value_parser = OsStringValueParser::new().try_map(Target::new))]
    pub(crate) area: Target,
    /// Wait so many seconds for its holders and for those who can still write, 0.1 at least
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    pub(crate) timeout: Duration,
    /// Do not freeze it: only prevent processes that cannot write it yet from writing it. That is
    /// permanent
    #[arg(long, conflicts_with = "timeout")]
    pub(crate) no_new_writers: bool,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Ask an area's holder to end, and wait until it has
///
/// The holder has to be an `areas` command: it is asked by a signal (TERM), which reaches no other
/// process. One that holds several areas drops this one, and goes on. Other holders of the memory
/// keep it, and are named: `gone` and `kept_by` with --json.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  areas drop model
  areas drop server-state --with-command         # held for a command: the signal is passed on to it

Exit status: 0 its holder has ended, or does not hold it any more, also where others keep the memory; 1 failed; 2 wrong usage; 3 no such area; \
4 its holder has not ended, or answered, in time.")]
pub(crate) struct Drop {
    /// Its name or id: digits are an id, `name:123` is a name always, `hex:ff` its bytes
    #[arg(value_name = "NAME|ID", value_parser = OsStringValueParser::new().try_map(Target::new))]
    pub(crate) area: Target,
    /// Wait so many seconds, 0.1 at least
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub(crate) timeout: Duration,
    /// Also where it is held for a command that runs, which gets the signal then
    #[arg(long)]
    pub(crate) with_command: bool,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}
