//! Operations on areas that the process holds.

use std::time::Duration;

use areas::{ErrorKind, Protection, registry};
use areas_testing::Process;

use super::Worker;
use super::family::THREADS;
use super::held::{Held, Memory};
use crate::finding::Rule;
use crate::op::Op;

impl Worker {
    pub(super) fn check_one(&mut self) {
        let Some(at) = self.any_held(|_| true) else { return };
        let mut held = self.held.swap_remove(at);
        self.check(&mut held);
        self.held.push(held);
    }

    pub(super) fn check(&mut self, held: &mut Held) {
        let reported = self.tried(Op::Check, |worker| held.check(&mut worker.random));
        match reported {
            Some(Ok(looked)) => self.slot.who.checked += looked as u64,
            Some(Err(wrong)) => {
                let (id, kind) = (held.id(), kind_of(held));
                self.found(Rule::Bytes, &format!("{kind} area {id:?}: {wrong}"));
            }
            None => {}
        }
    }

    /// Writes again what is there, or what others grew and no process wrote yet.
    pub(super) fn write_one(&mut self) {
        let Some(at) = self.any_held(|held| held.writable) else { return };
        let mut held = self.held.swap_remove(at);
        let size = held.size();
        let op = if matches!(held.memory, Memory::Resizable(_)) { Op::WriteResizable } else { Op::Write };
        if size > 64 {
            let from = self.random.usize(32..size) & !7;
            let to = size.min(from + (64 << 10));
            self.tried(op, |_| held.paint(from, to));
        }
        self.held.push(held);
    }

    pub(super) fn grow_one(&mut self) {
        let growable = self.any_held(|held| match &held.memory {
            Memory::Shared(area) => held.writable && area.reserve() > area.mapped(),
            _ => false,
        });
        let Some(at) = growable else { return };
        let mut held = self.held.swap_remove(at);
        let Memory::Shared(area) = &held.memory else { return };
        let (before, max) = (area.size(), area.reserve());
        let wanted = self.random.usize(before..=max);
        let grown = self.tried(Op::Grow, |_| {
            let Memory::Shared(area) = &held.memory else { return Ok(()) };
            area.grow(wanted)
        });
        if grown.is_some() {
            let size = held.size();
            if size < wanted {
                self.found(Rule::Info, &format!("grown to {wanted} bytes, and has {size}"));
            }
            if self.tried(Op::Write, |_| held.paint(before, size)).is_some() && held.solid >= before {
                // It never shrinks: from here on these bytes are there for good.
                held.solid = size;
            }
        }
        self.check(&mut held);
        self.held.push(held);
    }

    pub(super) fn resize_one(&mut self) {
        let resizable = self.any_held(|held| held.writable && matches!(held.memory, Memory::Resizable(_)));
        let Some(at) = resizable else { return };
        let mut held = self.held.swap_remove(at);
        let Memory::Resizable(area) = &held.memory else { return };
        let span = area.reserve();
        let pages = match self.random.u32(0..10) {
            // Beyond the reserve, where there is room for all.
            0 => span / 4096 + self.random.usize(1..4),
            1..4 => 1,
            _ => self.random.usize(1..=span / 4096),
        };
        let wanted = pages.min(1024) * 4096;
        let resized = self.tried(Op::Resize, |_| {
            let Memory::Resizable(area) = &mut held.memory else { return Ok(()) };
            area.resize(wanted)
        });
        if resized.is_some() && self.random.bool() {
            self.tried(Op::WriteResizable, |_| held.paint(4096.min(wanted), wanted));
        }
        self.check(&mut held);
        self.held.push(held);
    }

    pub(super) fn freeze_one(&mut self) {
        let shared = self.any_held(|held| {
            held.writable && !held.is_life && matches!(held.memory, Memory::Shared(_) | Memory::Resizable(_))
        });
        let Some(at) = shared else { return };
        let Held { memory, object, solid, entry, writable, is_life } = self.held.swap_remove(at);
        let timeout = Duration::from_millis(self.random.u64(0..6));
        self.slot.begin(Op::Freeze);
        let (memory, outcome) = match memory {
            Memory::Shared(area) => match area.freeze_within(timeout) {
                Ok(area) => (Memory::Frozen(area), Ok(())),
                Err(rejected) => (Memory::Shared(rejected.value), Err(rejected.error)),
            },
            Memory::Resizable(area) => match area.freeze_within(timeout) {
                Ok(area) => (Memory::Frozen(area), Ok(())),
                Err(rejected) => (Memory::Resizable(rejected.value), Err(rejected.error)),
            },
            other => (other, Ok(())),
        };
        let no_room = outcome.as_ref().is_err_and(|error| error.kind() == ErrorKind::AddressInUse);
        self.ended(Op::Freeze, outcome);
        let frozen = no_room || matches!(memory, Memory::Frozen(_));
        let mut held = Held { memory, object, solid, entry, writable: writable && !frozen, is_life };
        self.check(&mut held);
        self.held.push(held);
    }

    /// Takes the right to write away for a while.
    pub(super) fn protect_one(&mut self) {
        let shared = self.any_held(|held| held.writable && matches!(held.memory, Memory::Shared(_)));
        let Some(at) = shared else { return };
        let mut held = self.held.swap_remove(at);
        for protection in [Protection::READ, Protection::READ_WRITE] {
            let done = self.tried(Op::Protect, |_| match &mut held.memory {
                Memory::Shared(area) => area.protect(protection),
                _ => Ok(()),
            });
            held.writable = done.is_some() && protection.contains(Protection::WRITE);
            self.check(&mut held);
        }
        self.held.push(held);
    }

    /// Asks which area an address of ours belongs to.
    pub(super) fn at_one(&mut self) {
        let Some(at) = self.any_held(|held| held.id().is_some()) else { return };
        let address = self.held[at].address();
        let shown = self.tried(Op::At, |_| registry::at(address).map(|source| source.id()));
        let id = self.held[at].id();
        if shown.is_some() && shown != id {
            self.found(Rule::Own, &format!("{address:#x} is our area {id:?}, and is said to be {shown:?}"));
        }
    }

    pub(super) fn drop_one(&mut self) {
        let Some(at) = self.any_held(|held| !held.is_life) else { return };
        let held = self.held.swap_remove(at);
        self.release(held);
    }

    pub(super) fn release(&mut self, held: Held) {
        if let Some(entry) = held.entry {
            self.slot.strike(entry);
        }
        self.tried(Op::Drop, |_| {
            drop(held);
            Ok(())
        });
    }

    /// Drops all; then nothing of it is mapped or open any more, whatever went before.
    pub(super) fn drop_all(&mut self) {
        while let Some(held) = self.held.pop() {
            self.release(held);
        }
        self.locks = None;
        self.slot.begin(Op::DropAll);
        let mut left = crate::proc::objects_of(Process::Own);
        left.retain(|object| !(self.orphans && object.contains(THREADS)));
        if !left.is_empty() {
            self.found(
                Rule::Leak,
                &format!("everything was dropped, and there is still: {}", left.join(", ")),
            );
        }
        self.slot.end(Op::DropAll, None);
    }
}

fn kind_of(held: &Held) -> &'static str {
    match held.memory {
        Memory::Shared(_) => "shared",
        Memory::Resizable(_) => "resizable",
        Memory::Frozen(_) => "frozen",
        Memory::Private(_) => "private",
    }
}
