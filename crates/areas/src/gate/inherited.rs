//! A socket that listens already as the program starts, from a supervisor (`systemd.socket(5)`,
//! `sd_listen_fds(3)`).

use std::os::fd::{AsFd, OwnedFd};

use crate::error::{Error, ErrorKind, Result};
use crate::sys;

/// The first descriptor of a supervisor's.
const FIRST: i32 = 3;

/// The socket that a supervisor has given to this process, if it has: `LISTEN_PID` names this
/// process.
///
/// # Errors
/// [`ErrorKind::InvalidInput`] where it gave several, or something else.
pub(super) fn listener(what: &dyn Fn() -> String) -> Result<Option<OwnedFd>> {
    let number =
        |name: &str| sys::process::variable(name).and_then(|text| text.to_str()?.parse::<u32>().ok());
    // It is inherited by children, for whom the descriptors are not.
    if number("LISTEN_PID") != Some(sys::process::pid()) {
        return Ok(None);
    }
    let refuse = |detail: String, help: &'static str| {
        Error::new(ErrorKind::InvalidInput, what()).with_facts(detail).with_remedy(help)
    };
    match number("LISTEN_FDS") {
        Some(1) => {}
        count => {
            let detail = format!(
                "the supervisor passes {} sockets (LISTEN_FDS), and one is needed",
                count.unwrap_or(0)
            );
            return Err(refuse(
                detail,
                "have one ListenSequentialPacket= in the socket unit, and one such unit for the service",
            ));
        }
    }
    let socket = sys::file::copy_of_number(FIRST).map_err(|errno| {
        Error::new(ErrorKind::Io, what()).with_system_call("fcntl(3, F_DUPFD_CLOEXEC)", errno)
    })?;
    match sys::listening::is_listening(socket.as_fd()) {
        Ok(true) => Ok(Some(socket)),
        Ok(false) | Err(sys::Errno::NOTSOCK) => Err(refuse(
            "descriptor 3, passed by the supervisor, is not a listening SOCK_SEQPACKET socket".to_owned(),
            "have ListenSequentialPacket= in the socket unit, and not Accept=yes",
        )),
        Err(errno) => Err(Error::new(ErrorKind::Io, what()).with_system_call("getsockopt(3)", errno)),
    }
}
