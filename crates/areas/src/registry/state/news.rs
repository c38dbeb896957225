//! Whether there is news for this process: an area that another team has given to it, or a process
//! who waits for a name.
//!
//! Either can be asked of the kernel, a call each: the socket's queue, the control file. But
//! whoever brings news has the folder's time of change say so ([`Directory::notify`]), behind the
//! news itself; and at the folder's time each publication, and each search for a name that is not
//! known, looks anyway. So as long as that time is the one at which there was no news, there is
//! none.
//!
//! A time stamp is a clock tick coarse in some kernels: a time is only remembered once it is
//! [settled](is_settled), as for the list of teams. And whoever is killed between its news and
//! report of it has reached no process: so what is remembered counts for a second.

use super::State;
use crate::registry::directory::Times;
use crate::registry::own::Team;
use crate::sys;

/// A change of the folder (others', or our own removing of dead links) within this time of another
/// does not show in its time stamp, which is a clock tick coarse.
const TICKS: i128 = 100_000_000;

/// Whether whatever changes in the folder from now on has another time stamp than the one that was
/// seen. The clock that stamps the folder can be set: if it has gone on since that change before we
/// look at what is there, what changes later has another stamp, wherever the clock goes.
pub(super) fn is_settled(time: i128) -> bool {
    i128::from(sys::process::file_time()) - time > TICKS
}

/// For how long one believes that there is no news without having asked: nanoseconds.
const BELIEVED: u64 = 1_000_000_000;

/// The folder's time at which there was no news of a kind, and until when that is believed.
#[derive(Clone, Copy, Debug)]
struct Since {
    time: i128,
    until: u64,
}

impl Since {
    /// From a folder's time that was seen before it was asked.
    fn new(time: i128) -> Option<Self> {
        is_settled(time).then(|| Since { time, until: sys::process::coarse_time() + BELIEVED })
    }

    fn is_still(self, seen: Times) -> bool {
        self.time == seen.news && sys::process::coarse_time() < self.until
    }
}

/// What is known to be quiet.
#[derive(Debug, Default)]
pub(super) struct Quiet {
    /// Nothing was at our transfer socket.
    transfer_socket: Option<Since>,
    /// No process waited for a name.
    waiters: Option<Since>,
}

impl State {
    /// Accepts what other teams have transferred to us, if there may be something by what the last
    /// look at the folder [showed](State::seen).
    pub(in crate::registry) fn hear(&mut self) {
        if self.seen.is_some_and(|seen| self.quiet.transfer_socket.is_some_and(|since| since.is_still(seen)))
        {
            return;
        }
        self.quiet.transfer_socket = self.seen.and_then(|seen| Since::new(seen.news));
        let is_quiet = self.stuck.is_none()
            && self
                .own
                .as_ref()
                .and_then(Team::transfer_socket)
                .is_none_or(|socket| !socket.may_have_offers());
        if !is_quiet {
            self.quiet.transfer_socket = None;
            // What cannot be accepted is reported to those who ask for it.
            let _ = self.look();
        }
    }

    /// Wakes those who wait for a name, if there may be any by what the last look at the folder
    /// showed, which was behind the record's becoming visible.
    pub(super) fn wake_waiters(&mut self) {
        let Some(directory) = &self.directory else { return };
        if self.seen.is_some_and(|seen| self.quiet.waiters.is_some_and(|since| since.is_still(seen))) {
            return;
        }
        self.quiet.waiters = None;
        if directory.wake_waiters() {
            self.quiet.waiters = self.seen.and_then(|seen| Since::new(seen.news));
        }
    }

    /// Reports to all who are in the registry that there is news.
    pub(in crate::registry) fn notify(&self) {
        if let Some(directory) = &self.directory {
            directory.notify();
        }
    }
}
