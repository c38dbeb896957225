//! Operations that make areas.

use areas::{Address, Area, Lock, NodeSet, Policy, Protection, Shared, registry};

use super::held::{Held, Memory, inode};
use super::{MAX_HELD, Worker};
use crate::finding::Rule;
use crate::op::Op;

/// Names that several areas have: the oldest of them is found.
const NAMES: u32 = 48;
const PAGE: usize = 4096;

impl Held {
    pub(super) fn new_shared(area: Area<Shared>) -> Self {
        let object = inode(&area);
        let writable = area.protection().contains(Protection::WRITE);
        Held::new(Memory::Shared(area), object, writable)
    }
}

impl Worker {
    /// A name that others use too.
    pub(super) fn common_name(&mut self) -> String {
        format!("{}-{}", self.options.tag, self.random.u32(0..NAMES))
    }

    /// Mostly small, now and then large, and not always whole pages.
    fn any_size(&mut self) -> usize {
        let pages = match self.random.u32(0..20) {
            0 => self.random.usize(64..512),
            1..6 => self.random.usize(8..64),
            _ => self.random.usize(1..8),
        };
        pages * PAGE - if self.random.bool() { 0 } else { self.random.usize(0..PAGE / 2) }
    }

    fn pages(&mut self) -> usize {
        self.any_size().next_multiple_of(PAGE)
    }

    /// Writes a new area whole.
    pub(super) fn fill(&mut self, held: &mut Held) {
        // Published from its start, a resizable one may be cut short before it is written.
        let op = if matches!(held.memory, Memory::Resizable(_)) { Op::WriteResizable } else { Op::Write };
        self.tried(op, |_| held.finish());
    }

    pub(super) fn publish(&mut self, held: &mut Held, name: &str) {
        let published = self.tried(Op::Publish, |_| match &mut held.memory {
            Memory::Shared(area) => area.publish(name).map(Some),
            Memory::Resizable(area) => area.publish(name).map(Some),
            Memory::Frozen(area) => area.publish(name).map(Some),
            Memory::Private(_) => Ok(None),
        });
        if let Some(Some(id)) = published {
            if held.id() != Some(id) {
                self.found(Rule::Own, &format!("published as {id}, and says that it is {:?}", held.id()));
            }
            self.record(held);
        }
    }

    /// Keeps a new area: published from the start, later, or never.
    fn take(&mut self, mut held: Held) {
        self.fill(&mut held);
        if held.id().is_some() {
            self.record(&mut held);
        } else if self.random.u32(0..3) != 0 {
            let name = self.common_name();
            self.publish(&mut held, &name);
        }
        self.held.push(held);
    }

    pub(super) fn create_fixed(&mut self) {
        let size = self.any_size();
        let name = self.random.bool().then(|| self.common_name());
        let address = match self.random.u32(0..4) {
            0 => Address::AtOrAbove(1 << 40),
            1 => Address::Random,
            _ => Address::Any,
        };
        let made = self.tried(Op::CreateFixed, |_| {
            let builder = areas::builder(size).at(address);
            match &name {
                Some(name) => builder.name(name).shared(),
                None => builder.shared(),
            }
        });
        if let Some(area) = made {
            self.take(Held::new_shared(area));
        }
    }

    pub(super) fn create_growable(&mut self) {
        let (size, more) = (self.pages(), self.pages());
        let name = self.common_name();
        let made = self
            .tried(Op::CreateGrowable, |_| areas::builder(size).growable(size + more).name(name).shared());
        if let Some(area) = made {
            self.take(Held::new_shared(area));
        }
    }

    pub(super) fn create_resizable(&mut self) {
        let (size, more) = (self.pages(), self.pages());
        let name = self.random.bool().then(|| self.common_name());
        let made = self.tried(Op::CreateResizable, |_| {
            let builder = areas::builder(size);
            match &name {
                Some(name) => builder.name(name).resizable(size + more),
                None => builder.resizable(size + more),
            }
        });
        if let Some(area) = made {
            let object = inode(&area);
            self.take(Held::new(Memory::Resizable(area), object, true));
        }
    }

    pub(super) fn create_private(&mut self) {
        let size = self.any_size();
        if let Some(area) = self.tried(Op::CreatePrivate, |_| areas::builder(size).private()) {
            let number = self.random.u64(1..);
            self.take(Held::new(Memory::Private(area), number, true));
        }
    }

    pub(super) fn create_locked(&mut self) {
        let lock = if self.random.bool() { Lock::Lazy } else { Lock::Full };
        let name = self.common_name();
        let made = self.tried(Op::CreateLocked, |_| areas::builder(2 * PAGE).lock(lock).name(name).shared());
        if let Some(area) = made {
            self.take(Held::new_shared(area));
        }
    }

    pub(super) fn any_policy(&mut self) -> Policy {
        match self.random.u32(0..3) {
            0 => Policy::Interleave(NodeSet::ALL),
            1 => Policy::Bind(NodeSet::ALL),
            _ => Policy::Local,
        }
    }

    pub(super) fn create_placed(&mut self) {
        let policy = self.any_policy();
        let size = self.any_size();
        let name = self.common_name();
        if let Some(area) =
            self.tried(Op::CreatePlaced, |_| areas::builder(size).place(policy).name(name).shared())
        {
            self.take(Held::new_shared(area));
        }
    }

    /// Publishes one that was not.
    pub(super) fn publish_one(&mut self) {
        let unpublished =
            self.any_held(|held| held.id().is_none() && !matches!(held.memory, Memory::Private(_)));
        let Some(at) = unpublished else { return };
        let mut held = self.held.swap_remove(at);
        let name = self.common_name();
        self.publish(&mut held, &name);
        self.held.push(held);
    }

    /// Many areas, one after the other: sequence numbers run out, and start over.
    pub(super) fn churn(&mut self) {
        let count = self.random.usize(100..2500);
        let name = format!("{}-churn", self.options.tag);
        self.slot.begin(Op::Churn);
        let mut before = 0;
        for round in 0..count {
            // It is one of these that must not hang, not all of them together.
            if round % 16 == 15 {
                self.slot.begin(Op::Churn);
            }
            let made = areas::builder(1).name(&name).shared();
            let area = match made {
                Ok(area) => area,
                Err(error) => {
                    self.ended::<()>(Op::Churn, Err(error));
                    return;
                }
            };
            let Some(id) = area.id() else {
                return self.found(Rule::Own, "a published area has no id");
            };
            let sequence = id.get() & 0x7_ffff;
            if sequence < before {
                self.slot.end(Op::GoRound, None);
                self.slot.begin(Op::Churn);
            }
            before = sequence;
            let shown = registry::get(id)
                .map(|source| (source.is_own(), source.name().as_bytes() == name.as_bytes()));
            // Where the folder was removed concurrently, it may have another id.
            if !matches!(shown, Ok((true, true))) && area.id() == Some(id) {
                self.found(Rule::Own, &format!("id {id} was just given to {name:?}, and leads to {shown:?}"));
            }
            if self.held.iter().any(|held| held.id() == Some(id)) {
                self.found(Rule::Own, &format!("id {id} was given twice"));
            }
        }
        self.slot.end(Op::Churn, None);
    }

    /// A resizable area that no other process has: what is cut off is freed, and comes back as
    /// zeros.
    pub(super) fn resize_alone(&mut self) {
        if self.held.len() >= MAX_HELD {
            return;
        }
        let (large, small) = (self.pages() + PAGE, PAGE);
        let Some(area) = self.tried(Op::LoneResize, |_| areas::builder(large).resizable(large)) else {
            return;
        };
        let object = inode(&area);
        let mut held = Held::new(Memory::Resizable(area), object, true);
        self.fill(&mut held);
        let reported = self.tried(Op::LoneResize, |worker| {
            let Memory::Resizable(area) = &mut held.memory else { return Ok(None) };
            let blocks = |area: &Area<areas::Resizable>| rustix::fs::fstat(area).map_or(0, |stat| stat.st_blocks);
            let full = blocks(area);
            area.resize(small)?;
            let cut = blocks(area);
            let mut bytes = vec![1; large - small];
            let beyond = area.read_at(small, &mut bytes).is_ok();
            area.resize(large)?;
            area.read_at(small, &mut bytes)?;
            let stray = bytes.iter().position(|&byte| byte != 0);
            let _ = worker;
            let page_blocks = i64::try_from(PAGE / 512).unwrap_or(8);
            Ok((beyond || stray.is_some() || cut > page_blocks || full < cut)
                .then(|| format!("cut from {large} to {small} bytes: {full} blocks before, {cut} after; bytes behind the end readable: {beyond}; \
                                  first byte that is not zero after growing again: {stray:?}")))
        });
        if let Some(Some(wrong)) = reported {
            self.found(Rule::Bytes, &wrong);
        }
        self.held.push(held);
    }
}
