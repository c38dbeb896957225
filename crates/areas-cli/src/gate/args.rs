//! What can be said to `areas offer` and `areas take`.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use areas::{Bytes, Name};
use clap::builder::{OsStringValueParser, TypedValueParser};

use crate::holding::Holding;
use crate::publishing::name;
use crate::seconds::seconds;
use crate::target::Target;

/// Offer an area to other users and to containers, at a socket
///
/// A process that runs `areas take PATH` gets the same memory; nothing is copied. A container needs
/// no more than the folder with the socket in it. It is offered until a signal ends this command,
/// or the area is gone; takers keep what they have. This command holds nothing itself.
///
/// With --json the answers are printed on the standard output, and it is offered no longer than a
/// process reads them.
///
/// The kernel says who connects: a user that is not named gets a refusal. The socket has mode 0600,
/// and an access list with the named users.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  areas offer model --socket /run/models/model.sock --to 1000 --read-only
  areas offer model --socket ./model.sock --to 1000,1001
  areas offer model    # at the socket that systemd gives (ListenSequentialPacket=)")]
pub(crate) struct Offer {
    /// Its name or id: digits are an id, `name:123` is a name always, `hex:ff` its bytes
    #[arg(value_name = "NAME|ID", value_parser = OsStringValueParser::new().try_map(Target::new))]
    pub(crate) area: Target,
    /// Where: a socket is made there; without it, the one that a supervisor gives (LISTEN_FDS)
    #[arg(long, value_name = "PATH", value_hint = clap::ValueHint::FilePath)]
    pub(crate) socket: Option<PathBuf>,
    /// To these users and no others, by number; `any` is every user with access to the socket.
    /// Without it, to this user
    #[arg(long, value_name = "UID,…|any", value_delimiter = ',')]
    pub(crate) to: Vec<User>,
    /// For reading only, or not at all: refused to those who could open it for writing anyway, root
    /// and its maker, unless it is frozen or sealed
    #[arg(long)]
    pub(crate) read_only: bool,
    /// For reading only, to root and its maker, too: seal it against new writers first. Processes
    /// that write it now go on; no other ever will. It cannot be undone
    #[arg(long)]
    pub(crate) seal: bool,
    /// Print readiness, and each answer, as JSON, a line each
    #[arg(long)]
    pub(crate) json: bool,
}

/// Take an area that is offered at a socket, publish it here, and hold it
///
/// It is published in this user's registry, under its name there or another one, and held until a
/// signal ends this command, or until COMMAND ends: also when the process that offered it has
/// ended.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  areas take /run/models/model.sock
  areas take /run/models/model.sock --name model --timeout 30 -- python serve.py
  areas take /shared/model.sock --from any    # in a container with a user namespace of its own")]
pub(crate) struct Take {
    /// The socket
    #[arg(value_name = "PATH", value_hint = clap::ValueHint::FilePath)]
    pub(crate) path: PathBuf,
    /// The name that others find it by here; without it, the one that it has there
    #[arg(long, value_parser = OsStringValueParser::new().try_map(name))]
    pub(crate) name: Option<Name>,
    /// Refuse if another area has that name here
    #[arg(long)]
    pub(crate) exclusive: bool,
    /// From these users and no others, by number; `any` is every user that listens there. Without
    /// it, from this user and root
    #[arg(long, value_name = "UID,…|any", value_delimiter = ',')]
    pub(crate) from: Vec<User>,
    /// Wait so many seconds until it is offered and given, all together, 0.1 at least; then give
    /// up, with exit status 4. Without it, it has to be offered now, and the listening process has
    /// 10 seconds to answer
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) timeout: Option<Duration>,
    /// Refuse what is larger; without it, the machine's RAM and swap
    #[arg(long, value_name = "SIZE")]
    pub(crate) max_size: Option<Bytes>,
    /// Without the lock that it may have there
    #[arg(long)]
    pub(crate) no_lock: bool,
    #[command(flatten)]
    pub(crate) holding: Holding,
}

/// A user, or all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum User {
    Number(u32),
    Any,
}

impl FromStr for User {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "any" => Ok(User::Any),
            // -1 is no user's.
            _ => {
                text.parse().ok().filter(|&number| number != u32::MAX).map(User::Number).ok_or_else(|| {
                    "it is neither a user's number (`id -u NAME` prints it) nor `any`".to_owned()
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_numbers() {
        assert_eq!("0".parse(), Ok(User::Number(0)));
        assert_eq!("65534".parse(), Ok(User::Number(65534)));
        assert_eq!("any".parse(), Ok(User::Any));
        for wrong in ["", "-1", "root", "4294967295", "4294967296", "Any", "1 "] {
            assert!(wrong.parse::<User>().is_err(), "{wrong}");
        }
    }
}
