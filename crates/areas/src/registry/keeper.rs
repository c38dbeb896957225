//! A thread that keeps this process's areas published: for programs that ask for one.
//!
//! What is published can be lost while its holder makes no call: the registry's folder is removed
//! (logind does that at the user's last log-out, where `RemoveIPC=` is set), or the holder was
//! forked and its parent ended. Any call of the holder puts it right; where there are none, this
//! thread makes one from time to time.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::sys;

/// What the thread and its owner share.
#[derive(Debug, Default)]
struct Shared {
    ends: bool,
    /// Why the last attempt failed.
    trouble: Option<Error>,
}

/// Keeps this process's areas published for as long as it is there:
/// [`ensure_published`](super::ensure_published) in a thread of its own, once in an interval.
///
/// It is for programs that hold areas and make no calls for a long time: where the registry's
/// folder was removed, others find the areas again after one interval at most. Dropping it ends the
/// thread.
///
/// A forked child has no such thread, as it has none but the one that forked: a daemon starts its
/// keeper after its last fork, and starting one publishes at once what the child inherited.
///
/// ```
/// use std::time::Duration;
///
/// let area = areas::builder(4096).name("model").shared()?;
/// let keeper = areas::registry::Keeper::start(Duration::from_secs(1))?;
/// // … a long computation that makes no calls of this library.
/// assert!(keeper.trouble().is_none());
/// # Ok::<(), areas::Error>(())
/// ```
#[must_use = "dropping it ends the thread"]
pub struct Keeper {
    shared: Arc<(Mutex<Shared>, Condvar)>,
    thread: Option<JoinHandle<()>>,
    /// The process that has the thread.
    pid: u32,
}

impl Keeper {
    /// Publishes once, so that what is wrong is known at once, and then once in each interval.
    ///
    /// # Errors
    /// As [`ensure_published`](super::ensure_published); [`ErrorKind::InvalidInput`] for an
    /// interval of 0; [`ErrorKind::Limit`] where no thread can be made.
    pub fn start(interval: Duration) -> Result<Self> {
        const WHAT: &str = "keep this process's areas published by a thread";
        if interval.is_zero() {
            return Err(Error::new(ErrorKind::InvalidInput, WHAT)
                .with_facts("the interval is 0")
                .with_remedy("a second is a good one"));
        }
        super::ensure_published()?;
        let shared = Arc::new((Mutex::new(Shared::default()), Condvar::new()));
        let theirs = shared.clone();
        // The program's handlers run on its own threads.
        let blocked = sys::signals::Blocked::new();
        let thread = std::thread::Builder::new()
            .name("areas-keeper".to_owned())
            .spawn(move || run(&theirs, interval))
            .map_err(|error| {
                Error::new(ErrorKind::Limit, WHAT).caused_by(error).with_remedy(
                    "raise the limit (`ulimit -u`, TasksMax=), or call `registry::ensure_published` yourself",
                )
            })?;
        drop(blocked);
        Ok(Keeper { shared, thread: Some(thread), pid: sys::process::pid() })
    }

    /// Why the last attempt failed, in words; `None` if it did not. It is tried again in each
    /// interval.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        if !self.is_ours() {
            return Some(
                "this process was forked from the one that has the thread: start a keeper here".to_owned(),
            );
        }
        lock(&self.shared.0).trouble.as_ref().map(|error| format!("{error:#}"))
    }

    /// Whether the thread is this process's. A forked child's copy of the mutex may be locked
    /// forever.
    fn is_ours(&self) -> bool {
        self.pid == sys::process::pid()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        if !self.is_ours() {
            // There is no such thread here.
            let _ = std::mem::ManuallyDrop::new(thread);
            return;
        }
        lock(&self.shared.0).ends = true;
        self.shared.1.notify_all();
        // It ends within one call; what it panicked of, if it did, it has reported.
        let _ = thread.join();
    }
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper").field("pid", &self.pid).finish_non_exhaustive()
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn run((shared, wakes): &(Mutex<Shared>, Condvar), interval: Duration) {
    loop {
        let waiting = lock(shared);
        let (waited, _) = wakes
            .wait_timeout_while(waiting, interval, |shared| !shared.ends)
            .unwrap_or_else(PoisonError::into_inner);
        if waited.ends {
            return;
        }
        drop(waited);
        let trouble = super::ensure_published().err();
        lock(shared).trouble = trouble;
    }
}
