//! Answering those who connect: each is looked at, and given the area or refused, in some system
//! calls that never wait.
//!
//! **No peer holds up the others.** Nothing is read from those that connect, so that it does not
//! matter how slowly one writes. What is sent is one packet on a new connection, which always has
//! room for it. A connection on which the area went is kept until the other side closes it: as long
//! as the packet is not fetched, the kernel counts its descriptor as ours (`RLIMIT_NOFILE`, for all
//! that a user has under way), so each user may have a few such connections, and is refused beyond
//! that. One that is refused gets a packet without a descriptor, and is forgotten.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use super::answers::{Answer, Ended};
use super::offer::Offer;
use super::place::failed;
use crate::error::Result;
use crate::sys;
use crate::sys::listening::Until;

/// Where no descriptor is free for who connects, it is tried again after this.
const PAUSE: Duration = Duration::from_millis(100);

impl Offer {
    /// Answers the next one that connects, for at most so long (`None` waits forever): `Ok(None)`
    /// where none connected.
    ///
    /// A call waits until a process connects, and no longer: no peer can hold it up. Those that
    /// connect between two calls wait.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`](crate::ErrorKind::Limit) where no descriptor is free for who connected:
    /// it waits, and the next call goes on after a moment. [`ErrorKind::Io`](crate::ErrorKind::Io)
    /// if the socket was closed under us.
    pub fn answer(&mut self, time: Option<Duration>) -> Result<Option<Answer>> {
        self.answer_or(time, None)
    }

    /// The same, and ends with `Ok(None)` once there is something to read from `wake`, too: a pipe
    /// to which a handler of signals writes, say.
    ///
    /// # Errors
    /// As [`answer`](Offer::answer).
    pub fn answer_or(
        &mut self,
        time: Option<Duration>,
        wake: Option<BorrowedFd<'_>>,
    ) -> Result<Option<Answer>> {
        self.answer_until(time, wake, false)
    }

    /// The same, and ends with `Ok(None)` once a connection on which the area went has ended, too:
    /// [`ended`](Offer::ended) reports it.
    ///
    /// # Errors
    /// As [`answer`](Offer::answer).
    pub fn answer_or_ended(
        &mut self,
        time: Option<Duration>,
        wake: Option<BorrowedFd<'_>>,
    ) -> Result<Option<Answer>> {
        self.answer_until(time, wake, true)
    }

    /// The next connection that has ended of those on which the area went, and whether it was
    /// taken: the kernel reports that once the other side has closed it. What ends is seen in
    /// [`answer`](Offer::answer), and the last 256 are kept.
    pub fn ended(&mut self) -> Option<Ended> {
        self.answers.ended.pop_front()
    }

    fn answer_until(
        &mut self,
        time: Option<Duration>,
        wake: Option<BorrowedFd<'_>>,
        or_ended: bool,
    ) -> Result<Option<Answer>> {
        let deadline = time.and_then(|time| Instant::now().checked_add(time));
        loop {
            if let Some(came) = self.answers.early.pop_front() {
                return Ok(Some(self.answers.answer(came)));
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let (woken, came) = self.wait(left, wake)?;
            if woken {
                return Ok(None);
            }
            if or_ended && !self.answers.ended.is_empty() {
                return Ok(None);
            }
            if came && let Some(came) = self.accept()? {
                return Ok(Some(self.answers.answer(came)));
            }
            if left == Some(Duration::ZERO) {
                return Ok(None);
            }
        }
    }

    /// Whether the area is still there to be given.
    ///
    /// # Errors
    /// [`ErrorKind::NoSuchArea`](crate::ErrorKind::NoSuchArea) where no process publishes it any
    /// more, or it is retired; else as [`registry::get`](crate::registry::get).
    pub fn check(&mut self) -> Result<()> {
        self.answers.look_again()
    }

    /// Waits until something happens: whether `wake` has something to read, and whether a process
    /// connects. Forgets those that are done.
    fn wait(&mut self, left: Option<Duration>, wake: Option<BorrowedFd<'_>>) -> Result<(bool, bool)> {
        const WHAT: &str = "wait for a process that takes an area";
        let listener = self.listener.checked().map_err(|errno| {
            failed(WHAT.to_owned(), "fstat", errno)
                .with_facts("this process has closed the socket at which it is offered")
                .with_remedy("do not close descriptors that are not yours (close_range, closefrom)")
        })?;
        let pause = self.answers.pause.map(|until| until.saturating_duration_since(Instant::now()));
        let pause = pause.filter(|pause| !pause.is_zero());
        let mut sockets: Vec<_> =
            self.answers.given.iter().map(|given| (given.socket.as_fd(), Until::Ended)).collect();
        let given = sockets.len();
        sockets.extend(wake.map(|wake| (wake, Until::Ready)));
        let others = sockets.len();
        if pause.is_none() {
            sockets.push((listener, Until::Ready));
        }
        let at_most = [left, pause].into_iter().flatten().min();
        let happened = sys::listening::wait_for(&sockets, at_most)
            .map_err(|errno| failed(WHAT.to_owned(), "poll", errno))?;
        self.answers.forget(&happened[..given]);
        let woken = happened[given..others].iter().any(|&woken| woken);
        Ok((woken, happened[others..].iter().any(|&came| came)))
    }

    fn accept(&mut self) -> Result<Option<OwnedFd>> {
        match sys::listening::accept(self.listener.as_fd()) {
            Ok(came) => Ok(Some(came)),
            // It left again.
            Err(sys::Errno::AGAIN | sys::Errno::CONNABORTED) => Ok(None),
            Err(errno) => {
                // It is still in line, and would have us turn round and round.
                self.answers.pause = Instant::now().checked_add(PAUSE);
                Err(failed("answer a process that takes an area".to_owned(), "accept4", errno))
            }
        }
    }
}
