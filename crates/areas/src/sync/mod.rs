//! Locks and notifications for words in shared memory: each lives *in* an area, at an offset, and
//! holds for all processes that have it.
//!
//! | | for | bytes | after a kill |
//! |---|---|---|---|
//! | [`Mutex`] | one at a time | 8 | the next to lock gets the error that an owner died |
//! | [`Event`] | waiting for what others do | 4 | nothing is left: counting and waking are one step of the kernel's |
//! | [`SeqLock`] | one writer, many readers, who get all of one write | 16 and what is in it | readers get an error, and the next write makes it whole |
//!
//! Zeros are each of them as it begins: a new area needs no initialization, and no process has to
//! come first.
//!
//! What another process wrote is not trusted. No call waits longer than its timeout; a word that
//! makes no sense is an error. A process that may write the area may break what is guarded, as it
//! may write that, too; it cannot make another process hang or fault. Where a right to read is
//! enough (waiting for an event, reading a sequence lock), a process that has no more cannot
//! disturb those that have locked already.
//!
//! None of it is async-signal-safe. How an owner's death is proven, and what that costs:
//! `docs/design/sync.md`.

mod event;
mod mutex;
mod protocol;
mod seqlock;
mod sequence;

pub use event::{Event, Place};
pub use mutex::{Guard, Locked, Mutex, Owner};
#[doc(hidden)]
pub use seqlock::DetachedWriter;
pub use seqlock::{SeqLock, Writer};

use crate::area::{Area, Shared};
use crate::error::{Error, ErrorKind, Result};
use crate::owner::number;
use crate::page::PageSize;
use crate::sys;

/// The page's examples are tests.
#[cfg(doctest)]
#[doc = include_str!("../../../../docs/sync.md")]
struct Page;

/// That words in the area can be replaced in one step, and owners marked.
fn check_memory(area: &Area<Shared>, what: impl Fn() -> String) -> Result<()> {
    area.object().refuse_physical(&what)?;
    if area.object().page_size() == PageSize::base() {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Unsupported, what())
        .with_facts("it has hugetlb pages, which any writer can take away: accesses to its words could fault")
        .with_remedy("put it into a small area of its own, of base pages (events work in hugetlb pages)"))
}

/// After a sleep: only what says that it cannot go on is an error.
fn once_more(slept: sys::Result<()>) -> sys::Result<()> {
    match slept {
        Err(sys::Errno::AGAIN | sys::Errno::TIMEDOUT | sys::Errno::INTR) => Ok(()),
        other => other,
    }
}

fn futex_failed(what: String, errno: sys::Errno) -> Error {
    let error = |kind| Error::new(kind, what).with_system_call("futex", errno);
    match errno {
        sys::Errno::FAULT => error(ErrorKind::NoMemory)
            .with_facts("the word cannot be accessed: its page was taken away, or may not be accessed so"),
        sys::Errno::PERM | sys::Errno::NOSYS | sys::Errno::ACCESS => error(ErrorKind::NotPermitted)
            .with_remedy("a sandbox may forbid it: allow futex in its seccomp profile"),
        _ => error(ErrorKind::System),
    }
}

fn out_of_seqlock(area: &Area<Shared>, offset: usize, len: usize) -> Error {
    let header = SeqLock::HEADER;
    Error::new(ErrorKind::OutOfRange, format!("use a sequence lock at {offset} of {area}")).with_facts(
        format!("it takes {header} bytes and the {len} that are in it, and the area has {}", area.size()),
    )
}
