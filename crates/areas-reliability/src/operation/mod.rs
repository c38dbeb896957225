//! What is tried: each operation of the library with a way to make it ready, to run it, and to
//! check whether it went right.
//!
//! | file | operations |
//! |---|---|
//! | `joining.rs` | a team begins, publishes, takes back; the dead are cleared away; fork |
//! | `making.rs` | new areas of every kind |
//! | `finding.rs` | find, list, walk, wait, clone |
//! | `changing.rs` | size, protection, freezing, populating, passing on |
//! | `cutting.rs` | areas of which the program has unmapped a part |
//! | `gates.rs` | areas that are offered at a socket, and taken there |
//! | `handing.rs` | areas that change hands |
//! | `locks.rs` | locks in areas: mutexes, events, sequence locks |
//! | `moving.rs` | areas of others are moved |
//! | `slabs.rs` | slabs: made, attached to, and read |

mod changing;
mod cutting;
mod finding;
mod gates;
pub(crate) mod handing;
mod joining;
mod locks;
mod making;
mod moving;
mod pool;
mod slabs;

pub(crate) use changing::pool_has_pages;

use anyhow::{Context as _, Result};
pub(crate) use pool::Pool;

/// Whose calls are counted, and who is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// The process that was started.
    Itself,
    /// The child that it forks as the operation begins.
    Child,
}

/// What changes hands between the process and the bystander.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hands {
    Nothing,
    /// The process gives an area to the bystander.
    Gives,
    /// The bystander has given it one, before the operation begins.
    Takes,
}

/// An operation of the library.
#[derive(Debug)]
pub(crate) struct Operation {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    /// Whether no other process is in the registry: else there is a bystander.
    pub(crate) alone: bool,
    /// Whether the process keeps some things for later, with an error or without: teams that it has
    /// met, stacks of threads.
    pub(crate) cold: bool,
    /// Whether it has threads, whose stacks are kept for the next ones, as many as there happened
    /// to be.
    pub(crate) threads: bool,
    pub(crate) subject: Subject,
    pub(crate) hands: Hands,
    /// Whether an area of the victim's name is there at every moment, under one id or two.
    pub(crate) always_found: bool,
    /// What the machine must have for it, held while it is tried; else why it cannot be tried here.
    pub(crate) needs: fn() -> Result<Option<Pool>, String>,
    pub(crate) prepare: fn() -> Result<Box<dyn Act>>,
}

impl Operation {
    const fn new(name: &'static str, what: &'static str, prepare: fn() -> Result<Box<dyn Act>>) -> Self {
        Operation {
            name,
            what,
            alone: false,
            cold: false,
            threads: false,
            subject: Subject::Itself,
            hands: Hands::Nothing,
            always_found: false,
            needs: || Ok(None),
            prepare,
        }
    }

    const fn alone(self) -> Self {
        Operation { alone: true, cold: true, ..self }
    }

    const fn cold(self) -> Self {
        Operation { cold: true, ..self }
    }

    const fn threads(self) -> Self {
        Operation { threads: true, cold: true, ..self }
    }

    const fn giving(self) -> Self {
        Operation { hands: Hands::Gives, always_found: true, ..self }
    }

    const fn taking(self) -> Self {
        Operation { hands: Hands::Takes, cold: true, ..self }
    }

    const fn always_found(self) -> Self {
        Operation { always_found: true, ..self }
    }

    const fn needing(self, needs: fn() -> Result<Option<Pool>, String>) -> Self {
        Operation { needs, ..self }
    }

    const fn in_child(self) -> Self {
        Operation { subject: Subject::Child, cold: true, ..self }
    }
}

/// What an operation is made of.
pub(crate) trait Act {
    /// What is tried. After an error it is run once more.
    fn run(&mut self) -> areas::Result<()>;
    /// Whether it did what it says.
    fn check(&mut self) -> Result<(), String>;
    /// Whether all is as it was before, after an error.
    fn unchanged(&mut self) -> Result<(), String>;
    /// Drops what it made.
    fn undo(&mut self);
}

/// A value, and what is done with it.
pub(crate) struct With<S> {
    value: Option<S>,
    run: fn(&mut S) -> areas::Result<()>,
    check: fn(&mut S) -> Result<(), String>,
    unchanged: fn(&mut S) -> Result<(), String>,
}

impl<S> With<S> {
    /// An act without a state that an error could change.
    pub(crate) fn new(
        value: S,
        run: fn(&mut S) -> areas::Result<()>,
        check: fn(&mut S) -> Result<(), String>,
    ) -> Self {
        With { value: Some(value), run, check, unchanged: |_| Ok(()) }
    }

    pub(crate) fn unchanged(self, unchanged: fn(&mut S) -> Result<(), String>) -> Self {
        With { unchanged, ..self }
    }

    pub(crate) fn boxed(self) -> Result<Box<dyn Act>>
    where
        S: 'static,
    {
        Ok(Box::new(self))
    }

    fn value(&mut self) -> &mut S {
        self.value.as_mut().unwrap_or_else(|| unreachable!("undone, and used again"))
    }
}

impl<S> Act for With<S> {
    fn run(&mut self) -> areas::Result<()> {
        (self.run)(self.value())
    }

    fn check(&mut self) -> Result<(), String> {
        (self.check)(self.value())
    }

    fn unchanged(&mut self) -> Result<(), String> {
        (self.unchanged)(self.value())
    }

    fn undo(&mut self) {
        self.value = None;
    }
}

/// For checks: that something is so.
pub(crate) fn is(so: bool, else_: impl FnOnce() -> String) -> Result<(), String> {
    if so { Ok(()) } else { Err(else_()) }
}

/// For checks: the error of a look that must work.
pub(crate) fn checked<T>(result: areas::Result<T>) -> Result<T, String> {
    result.map_err(|error| format!("{error:#}"))
}

pub(crate) fn named(name: &str) -> Result<&'static Operation> {
    ALL.iter()
        .find(|operation| operation.name == name)
        .with_context(|| format!("no operation is called {name}"))
}

/// All of them.
pub(crate) static ALL: [Operation; 68] = [
    Operation::new("join-first", "begin the registry's first team", joining::join).alone(),
    Operation::new("join", "begin a team among others", joining::join).cold(),
    Operation::new("join-clearing", "the same, and clear away a dead pid namespace", joining::clear).alone(),
    Operation::new("join-without-area", "begin a team that has no area", joining::join_without_area).cold(),
    Operation::new("join-once", "begin a team that only looks", joining::join_to_look).cold(),
    Operation::new(
        "publish-first",
        "publish a team's first area, long after it joined",
        joining::publish_first,
    )
    .cold(),
    Operation::new("keep", "publish again after the folder was removed", joining::keep).alone(),
    Operation::new("reap", "list, and clear away a dead team", joining::reap).cold(),
    Operation::new("publish", "publish one more area", joining::publish),
    Operation::new(
        "publish-alone",
        "publish an area under a name that no other area has",
        joining::publish_alone,
    )
    .cold(),
    Operation::new(
        "create-or-open",
        "create an area, or open the one that is there",
        joining::create_or_open,
    )
    .cold(),
    Operation::new("unpublish", "drop a published area", joining::unpublish),
    Operation::new("retire", "retire an area", joining::retire),
    Operation::new("fork", "a forked child's first call", joining::fork).in_child(),
    Operation::new("create-private", "a private area, bound to all nodes", making::private),
    Operation::new("create-shared", "a shared area", making::shared),
    Operation::new("create-placed", "a shared area, interleaved", making::placed),
    Operation::new("create-growable", "a growable area", making::growable),
    Operation::new("create-resizable", "a resizable area", making::resizable),
    Operation::new("create-locked", "a shared area with a full lock", making::locked),
    Operation::new("create-contiguous", "a shared area with a contiguous lock", making::contiguous)
        .needing(making::may_see_frames),
    Operation::new("create-huge", "a shared area in huge pages, if there are any", making::huge),
    Operation::new("unmap", "give a mapping back", making::unmap),
    Operation::new("find", "find an area for the first time", finding::find).cold(),
    Operation::new("find-again", "find an area once more", finding::find_again),
    Operation::new("list", "list all areas", finding::list).cold(),
    Operation::new("walk", "meet a team's areas one after the other", finding::walk).cold(),
    Operation::new("wait", "wait for an area that is there", finding::wait).cold(),
    Operation::new("wait-in-vain", "wait for an area that does not come", finding::wait_in_vain).cold(),
    Operation::new("clone", "clone an area for writing", finding::clone).cold(),
    Operation::new("clone-read-only", "clone an area for reading", finding::clone_read_only),
    Operation::new(
        "close-to-others",
        "clone one's own area for reading, the first to",
        finding::close_to_others,
    ),
    Operation::new("clone-published", "clone an area and publish the clone", finding::clone_published).cold(),
    Operation::new("clone-locked", "clone a locked area", finding::clone_locked).cold(),
    Operation::new("clone-frozen", "clone a frozen area", finding::clone_frozen),
    Operation::new("clone-resizable", "clone a resizable area", finding::clone_resizable).cold(),
    Operation::new("clone-any", "clone a frozen area as whatever it is", finding::clone_any),
    Operation::new("of-descriptor", "make an area of a descriptor", finding::of_descriptor),
    Operation::new("slab-make", "make a slab in an area, and put something in", slabs::make),
    Operation::new("slab-read", "attach to a slab, and read a slice", slabs::read),
    Operation::new("lock", "a thread's first lock of a mutex in an area", locks::lock),
    Operation::new("lock-dead", "lock a mutex whose owner has died, and repair", locks::lock_dead),
    Operation::new("lock-in-vain", "wait for a mutex that another one has", locks::lock_in_vain),
    Operation::new("event", "signal an event, and wait for it", locks::event),
    Operation::new("event-in-vain", "wait for an event that does not come", locks::event_in_vain),
    Operation::new("sequence-lock", "write a sequence lock, and read it", locks::sequence),
    Operation::new("grow", "grow a published area", changing::grow),
    Operation::new("grow-pool", "grow a published area in hugetlb pages", changing::grow_in_pool)
        .needing(pool_has_pages),
    Operation::new("resize", "make a published area larger, within its reserve", changing::resize),
    Operation::new("resize-beyond", "the same, beyond its reserve", changing::resize_beyond).cold(),
    Operation::new(
        "resize-in-arena",
        "the same, beyond the reserve of one that lies where there is room",
        changing::resize_in_arena,
    )
    .cold(),
    Operation::new("shrink", "make a published area smaller", changing::shrink),
    Operation::new("cut", "cut a part in the middle that is unmapped", cutting::cut),
    Operation::new("protect", "take the right to write from a published area", changing::protect),
    Operation::new("freeze", "freeze a published area", changing::freeze),
    Operation::new("freeze-locked", "freeze a locked area", changing::freeze_locked),
    Operation::new("populate", "populate an area, on several threads", changing::populate).threads(),
    Operation::new("fill", "fill an area from a file", changing::fill),
    Operation::new("send", "send an area for reading only", changing::send),
    Operation::new("receive", "receive an area", changing::receive),
    Operation::new("move", "move another process's area", moving::with_privilege),
    Operation::new(
        "move-unprivileged",
        "the same without CAP_SYS_NICE: through its holder",
        moving::without_privilege,
    ),
    Operation::new("offer", "offer an area at a socket", gates::offer),
    Operation::new("give", "give an offered area to who connects", gates::give).cold(),
    Operation::new("take", "take an area that another process offers", gates::take).cold(),
    Operation::new("transfer-own", "transfer an area within the team", handing::to_own_team).always_found(),
    Operation::new("transfer", "transfer an area to another team", handing::to_another).giving(),
    Operation::new("take-in", "take an area that another team transferred", handing::from_another).taking(),
];
