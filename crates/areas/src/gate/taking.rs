//! Taking an area that is offered at a path: who offers is looked at first, then what came is
//! received as any area is.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use super::place::{Place, failed};
use super::refusal::Packet;
use super::who::{self, Peer, Users};
use crate::area::{AnyArea, ReceiveOptions};
use crate::error::{Error, ErrorKind, Result};
use crate::sys;
use crate::sys::listening::Until;

/// How long an answer may take from who listens, where nothing else was said.
const ANSWER: Duration = Duration::from_secs(10);
/// How long is waited at a time, for an offer to be there, or for one that gives up.
const STEP: Duration = Duration::from_millis(50);

/// Takes the area that is offered at a path, by this user or root, within the default bounds.
///
/// # Errors
/// As [`TakeOptions::take`].
pub fn take(path: impl AsRef<Path>) -> Result<AnyArea> {
    TakeOptions::new().take(path)
}

/// From whom an area is taken, and within which bounds.
///
/// | choice | default |
/// |---|---|
/// | [`from`](TakeOptions::from), [`from_any_user`](TakeOptions::from_any_user) | this process's own user, and root |
/// | [`bounds`](TakeOptions::bounds) | those of [`ReceiveOptions`] |
/// | [`wait`](TakeOptions::wait) | an offer must be there |
#[derive(Clone, Debug)]
#[must_use = "an area is taken by `take`"]
pub struct TakeOptions {
    users: Users,
    bounds: ReceiveOptions,
    wait: Duration,
    /// How long an answer may take where that is not what is left of `wait`.
    answer: Option<Duration>,
}

impl Default for TakeOptions {
    fn default() -> Self {
        TakeOptions::new()
    }
}

impl TakeOptions {
    /// The defaults.
    pub const fn new() -> Self {
        TakeOptions {
            users: Users::Default,
            bounds: ReceiveOptions::new(),
            wait: Duration::ZERO,
            answer: None,
        }
    }

    /// Takes it from this user: only from those that are named.
    ///
    /// It is the user who made the socket listen: of a socket that a supervisor made, the
    /// supervisor's.
    pub fn from(mut self, user: u32) -> Self {
        self.users.add(user);
        self
    }

    /// Takes it from any process that listens there, users without a number in this user namespace
    /// included: any that may make names in the socket's folder.
    pub fn from_any_user(mut self) -> Self {
        self.users = Users::Any;
        self
    }

    /// The older name of [`from_any_user`](TakeOptions::from_any_user).
    #[deprecated(since = "0.2.0", note = "use `from_any_user`")]
    pub fn from_everybody(self) -> Self {
        self.from_any_user()
    }

    /// Takes an area within these bounds. (A [timeout](ReceiveOptions::timeout) in them means
    /// nothing here.)
    pub const fn bounds(mut self, bounds: ReceiveOptions) -> Self {
        self.bounds = bounds;
        self
    }

    /// Waits for so long until it is offered and given. All of it takes no longer, the answer of
    /// who listens included.
    pub const fn wait(mut self, time: Duration) -> Self {
        self.wait = time;
        self
    }

    /// Gives who listens so long for an answer, whatever is left of the time that
    /// [`wait`](TakeOptions::wait) says. For the C edge, which waits in steps.
    #[doc(hidden)]
    pub const fn answer_within(mut self, time: Duration) -> Self {
        self.answer = Some(time);
        self
    }

    /// Takes the area that is offered at a path: the same memory, with the rights that are given,
    /// with its name and its [note](crate::Area::note). It is not published until `publish` is
    /// called.
    ///
    /// The process that listens has 10 seconds for an answer; with [`wait`](TakeOptions::wait),
    /// what is left of that time.
    ///
    /// # Errors
    /// Nothing was taken.
    /// - [`ErrorKind::NoSuchArea`] where nothing is offered, or the area that was is gone;
    /// - [`ErrorKind::NotPermitted`] where it is not offered to this user; where a user offers it
    ///   from whom it is not taken; for a path through another user's link;
    /// - [`ErrorKind::TimedOut`] where it was not offered in time, or who listens does not answer:
    ///   stopped, or another program;
    /// - [`ErrorKind::Busy`], [`ErrorKind::Unsupported`], [`ErrorKind::System`] where the other
    ///   side refuses with such a reason; [`ErrorKind::Unsupported`] for what is not an area;
    /// - [`ErrorKind::InvalidInput`] for a path that leads to no such socket;
    /// - as [`ReceiveOptions::receive`] for what is beyond a bound.
    pub fn take(&self, path: impl AsRef<Path>) -> Result<AnyArea> {
        self.take_while(path, &mut || true)
    }

    /// The same, while `go_on` says so: it is asked each 50 ms or sooner. For the edges, which
    /// listen for signals and cancellation.
    ///
    /// # Errors
    /// As [`take`](TakeOptions::take); [`ErrorKind::TimedOut`] where it was not to go on.
    #[doc(hidden)]
    pub fn take_while(&self, path: impl AsRef<Path>, go_on: &mut dyn FnMut() -> bool) -> Result<AnyArea> {
        let path = path.as_ref();
        let what = || format!("take the area that is offered at {path:?}");
        self.users.check(what)?;
        let deadline = Instant::now().checked_add(self.wait);
        let socket = loop {
            // The folder, too, may come later; a wrong path never does.
            let error = match Place::new(path, &what).and_then(|place| place.connect(&what)) {
                Ok(Ok(socket)) => break socket,
                Ok(Err(error)) => error,
                Err(error) if error.errno() == Some(sys::Errno::NOENT.into()) => error,
                Err(error) => return Err(error),
            };
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            match left {
                Some(Duration::ZERO) if self.wait.is_zero() => return Err(error),
                Some(Duration::ZERO) => return Err(self.not_offered(error, &what)),
                left => std::thread::sleep(left.map_or(STEP, |left| left.min(STEP))),
            }
            stop(go_on, &what)?;
        };
        // A time that was given is for all of it.
        let (deadline, allowed) = match self.answer {
            None if !self.wait.is_zero() => (deadline, self.wait),
            answer => {
                let allowed = answer.unwrap_or(ANSWER);
                (Instant::now().checked_add(allowed), allowed)
            }
        };
        self.receive(&socket, (deadline, allowed), go_on, &what)
    }

    /// The error where it was not offered until the end; `last` is what was in the way of the last
    /// attempt.
    fn not_offered(&self, last: Error, what: &dyn Fn() -> String) -> Error {
        let why = last
            .facts()
            .map(str::to_owned)
            .or_else(|| Some(format!("{}: {}", last.system_call()?, last.errno()?)));
        let why = why.map_or_else(String::new, |why| format!(": {why}"));
        let error = Error::new(ErrorKind::TimedOut, what())
            .with_facts(format!("it was not offered within {:?}{why}", self.wait));
        match last.remedy() {
            Some(remedy) => error.with_remedy(remedy.to_owned()),
            None => error,
        }
    }

    fn receive(
        &self,
        socket: &OwnedFd,
        (deadline, allowed): (Option<Instant>, Duration),
        go_on: &mut dyn FnMut() -> bool,
        what: &dyn Fn() -> String,
    ) -> Result<AnyArea> {
        let offerer =
            Peer::of(socket.as_fd()).map_err(|errno| failed(what(), "getsockopt(SO_PEERCRED)", errno))?;
        let default: Vec<u32> = who::own().into_iter().chain([0]).collect();
        if !self.users.include(offerer.user, &default) {
            return Err(Error::new(ErrorKind::NotPermitted, what())
                .with_facts(format!("{offerer} offers it, and it is not taken from that user"))
                .with_remedy("name the offering user: `--from USER`, `TakeOptions::from`; `--from any` if it has no number"));
        }
        answered(socket.as_fd(), offerer, (deadline, allowed), go_on, what)?;
        // It is there, whole.
        let received = self.bounds.timeout(STEP).receive(socket);
        // What was refused as it came goes with the connection.
        received.map_err(|error| match error.kind() {
            ErrorKind::InvalidInput => Error::new(ErrorKind::Unsupported, what())
                .with_facts(format!(
                    "what {offerer} sends is not an area of this version: {}",
                    error.facts().unwrap_or("it is invalid")
                ))
                .with_remedy(
                    "name a socket at which `areas offer` listens; use library versions that go together",
                ),
            _ => error,
        })
    }
}

/// Waits until there is an answer, and returns a refusal as an error.
fn answered(
    socket: BorrowedFd<'_>,
    offerer: Peer,
    (deadline, allowed): (Option<Instant>, Duration),
    go_on: &mut dyn FnMut() -> bool,
    what: &dyn Fn() -> String,
) -> Result<()> {
    let who = offerer.to_string();
    let mut beginning = [0; Packet::BYTES];
    loop {
        match sys::listening::peek(socket, &mut beginning) {
            Ok(0) => {
                return Err(Error::new(ErrorKind::Io, what())
                    .with_facts(format!("{who} ended the connection without an answer"))
                    .with_remedy("it may have been ended itself: offer the area again"));
            }
            Ok(len) if Packet::begins(&beginning[..len]) => {
                return Err(match Packet::decode(&beginning[..len]) {
                    Some(packet) => packet.error(what(), &who),
                    None => Error::new(ErrorKind::Unsupported, what())
                        .with_facts(format!("{who} refuses, with an answer that only another version knows"))
                        .with_remedy("use versions of the library that go together"),
                });
            }
            Ok(_) => return Ok(()),
            Err(sys::Errno::AGAIN) => {}
            Err(errno @ sys::Errno::CONNRESET) => {
                return Err(failed(what(), "recv(MSG_PEEK)", errno)
                    .with_facts(format!("{who} ended before it answered"))
                    .with_remedy("offer the area again"));
            }
            Err(errno) => return Err(failed(what(), "recv(MSG_PEEK)", errno)),
        }
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            return Err(Error::new(ErrorKind::TimedOut, what())
                .with_facts(format!("{who} listens there, and has not answered within {allowed:?}"))
                .with_remedy(
                    "it may be stopped (`kill -CONT PID`), or be another program than one that offers areas",
                ));
        }
        let step = left.map_or(STEP, |left| left.min(STEP));
        sys::listening::wait_for(&[(socket, Until::Ready)], Some(step))
            .map_err(|errno| failed(what(), "poll", errno))?;
        stop(go_on, what)?;
    }
}

fn stop(go_on: &mut dyn FnMut() -> bool, what: &dyn Fn() -> String) -> Result<()> {
    if go_on() {
        Ok(())
    } else {
        Err(Error::new(ErrorKind::TimedOut, what()).with_facts("it was interrupted"))
    }
}
