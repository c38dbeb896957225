//! Operations on other processes' areas.

use std::time::Duration;

use areas::registry::{self, Info, Source};
use areas::{AreaId, ErrorKind, Extent, Protection};

use super::held::{Held, Memory, inode};
use super::{MAX_HELD, Worker};
use crate::board::SLOTS;
use crate::finding::Rule;
use crate::op::Op;

impl Worker {
    /// Looks for a name, and at the area's description.
    pub(super) fn find_a_process(&mut self) {
        let name = self.common_name();
        let Some(source) = self.tried(Op::Find, |_| registry::find(&name)) else { return };
        if source.name().as_bytes() != name.as_bytes() {
            self.found(Rule::Info, &format!("looked for {name:?}, found {:?}", source.name()));
        }
        self.look_at(&source);
    }

    fn look_at(&mut self, source: &Source) {
        let Some(info) = self.tried(Op::Info, |_| source.info()) else { return };
        let fits = match info.extent {
            Extent::Fixed => info.mapped == info.size.max(1).next_multiple_of(4096),
            Extent::Growable { max } => info.size <= max && info.reserve >= info.mapped,
            // Its size may be beyond what this holder reserved: others grow it in place.
            _ => info.size % 4096 == 0 && info.size > 0,
        };
        if !fits {
            self.found(Rule::Info, &format!("what is reported does not fit together: {info:?}"));
        }
    }

    /// A process's published area, by its id, as its holder recorded it. As long as the record
    /// stands and the holder lives, the id leads there.
    pub(super) fn get_by_id(&mut self) {
        for _ in 0..8 {
            let number = self.random.usize(0..SLOTS.min(96));
            if number == self.slot.number {
                continue;
            }
            let Some(place) = self.board.look(number) else { continue };
            let Some(who) = place.living() else { continue };
            let entry_number = self.random.usize(0..24);
            let entry = place.entry(entry_number);
            let epoch = self.shared.epoch();
            if epoch % 2 == 1
                || entry.generation == 0
                || entry.generation % 2 == 1
                || entry.life != who.life
                || entry.epoch != epoch
            {
                continue;
            }
            let Some(id) = i32::try_from(entry.id).ok().and_then(|id| AreaId::new(id).ok()) else { continue };
            self.slot.begin(Op::Get);
            let found = registry::get(id).and_then(|source| source.info().map(|info| info.object.1));
            let stands =
                place.entry(entry_number) == entry && place.lives_on(&who) && self.shared.epoch() == epoch;
            match &found {
                Ok(inode) if stands && *inode != entry.inode => self.found(
                    Rule::Id,
                    &format!(
                        "id {id} leads to object {inode}; its holder, process {}, recorded object {}",
                        who.pid, entry.inode
                    ),
                ),
                Err(error) if stands && error.kind() == ErrorKind::NoSuchArea => self.found(
                    Rule::Absent,
                    &format!("id {id} is published by process {}, which lives: {error:#}", who.pid),
                ),
                _ => {}
            }
            self.ended(Op::Get, found);
            return;
        }
    }

    /// Everything that is there: what we have ourselves, for one.
    pub(super) fn list(&mut self) {
        let epoch = self.shared.epoch();
        let Some(listing) = self.tried(Op::List, |_| registry::list()) else { return };
        if let Some(team) = listing.unreadable.first()
            && self.shared.epoch() == epoch
            // Looked at once more: it may have died as we looked.
            && std::path::Path::new(&format!("/proc/{}/fd", team.pid)).exists()
            && registry::list().is_ok_and(|again| again.unreadable.iter().any(|other| other.pid == team.pid))
        {
            self.found(Rule::Info, &format!("process {} cannot be read: {}", team.pid, team.reason));
        }
        for held in &self.held {
            if let Some(id) = held.id()
                && !listing.areas.iter().any(|source| source.is_own() && source.id() == id)
            {
                self.found(
                    Rule::Own,
                    &format!("area {id} is ours, and not in a list of {}", listing.areas.len()),
                );
            }
        }
        let place = |source: &Source| (source.pid(), source.id());
        if !listing.areas.is_sorted_by_key(Source::pid) {
            let order: Vec<_> = listing.areas.iter().map(place).collect();
            self.found(Rule::Info, &format!("the list is not in order: {order:?}"));
        }
    }

    /// Clones another's area, our own included; checks it at once and keeps it.
    pub(super) fn clone_one(&mut self) {
        let Some(source) = self.found_area() else { return };
        let info = self.tried(Op::Info, |_| source.info());
        let Some(info) = info else { return };
        let Some(mut held) = self.clone_of(&source, &info) else { return };
        self.check_clone(&source, &info, &held);
        self.check(&mut held);
        if held.id().is_some() {
            self.record(&mut held);
        }
        if self.held.len() < MAX_HELD {
            self.held.push(held);
        } else {
            self.release(held);
        }
    }

    /// One of the areas that are there, from the list or by its name.
    fn found_area(&mut self) -> Option<Source> {
        match self.random.u32(0..3) {
            0 => {
                let listing = self.tried(Op::List, |_| registry::list())?;
                let ours =
                    |source: &Source| source.name().as_bytes().starts_with(self.options.tag.as_bytes());
                let areas: Vec<Source> = listing.areas.into_iter().filter(ours).collect();
                self.random.choice(areas)
            }
            _ => {
                let name = self.common_name();
                self.tried(Op::Find, |_| registry::find(&name))
            }
        }
    }

    /// Clones it by one of the calls that there are for such an area.
    fn clone_of(&mut self, source: &Source, info: &Info) -> Option<Held> {
        let name = self.random.bool().then(|| self.common_name());
        let mut cloning = source.cloning();
        if let Some(name) = &name {
            cloning = cloning.name(name);
        }
        let resizable = matches!(info.extent, Extent::Resizable { .. });
        let readable_only = !info.protection.contains(Protection::WRITE);
        match self.random.u32(0..10) {
            _ if readable_only && source.is_frozen().is_ok_and(|frozen| frozen) => {
                self.tried(Op::CloneFrozen, |_| cloning.open_frozen()).map(|area| {
                    let object = inode(&area);
                    Held::new(Memory::Frozen(area), object, false)
                })
            }
            _ if resizable => {
                let wanted = if readable_only { Protection::READ } else { Protection::READ_WRITE };
                self.tried(Op::CloneResizable, |_| cloning.protection(wanted).open_resizable()).map(|area| {
                    let object = inode(&area);
                    Held::new(Memory::Resizable(area), object, wanted.contains(Protection::WRITE))
                })
            }
            0 => self
                .tried(Op::CloneSameAddress, |_| cloning.protection(Protection::READ).same_address().open())
                .map(Held::new_shared),
            1..5 => self
                .tried(Op::CloneReadOnly, |_| cloning.protection(Protection::READ).open())
                .map(Held::new_shared),
            _ => self
                .tried(Op::CloneWritable, |_| cloning.protection(Protection::READ_WRITE).open())
                .map(Held::new_shared),
        }
    }

    /// It is of the object that was named, and written only where that is allowed.
    fn check_clone(&mut self, source: &Source, info: &Info, held: &Held) {
        if held.object != info.object.1 {
            self.found(
                Rule::Id,
                &format!(
                    "cloned {} of object {}, and got object {}",
                    source.id(),
                    info.object.1,
                    held.object
                ),
            );
        }
        if let Memory::Shared(area) = &held.memory
            && !held.writable
            && !matches!(area.write_at(0, &[0]), Err(error) if error.kind() == ErrorKind::ReadOnly)
        {
            self.found(Rule::Bytes, "a clone for reading only can be written");
        }
    }

    /// Changes the placement of another's area and moves its pages, without cloning it.
    pub(super) fn move_found(&mut self) {
        let name = self.common_name();
        let Some(source) = self.tried(Op::Find, |_| registry::find(&name)) else { return };
        let policy = self.any_policy();
        let Some(moved) = self.tried(Op::Move, |_| source.migrate(policy)) else { return };
        // What came in concurrently may be anywhere that the policy before allowed; nothing of what
        // is reported may contradict itself.
        let stayed: usize = moved.stayed().iter().map(|part| part.range.len()).sum();
        if moved.is_placed()
            && moved.stayed().is_empty()
            && moved.verification().elsewhere() > 0
            && stayed == 0
        {
            self.found(Rule::Info, &format!("moved as {policy}, and it says: {moved}"));
        }
    }

    /// One's own area: others may have changed its placement.
    pub(super) fn verify_one(&mut self) {
        let Some(at) = self.any_held(|held| matches!(held.memory, Memory::Shared(_))) else { return };
        let mut held = self.held.swap_remove(at);
        if let Memory::Shared(area) = &mut held.memory {
            let reported = self.tried(Op::Verify, |_| area.verify());
            // Of several nodes, another process's move may be half done.
            let one_node = areas::allowed_nodes().is_ok_and(|nodes| nodes.len() == 1);
            if let Some(reported) = reported.filter(|reported| one_node && !reported.holds()) {
                self.found(Rule::Info, &format!("placed as {} on one node: {reported}", area.placement()));
            }
        }
        self.held.push(held);
    }

    /// Waits for a name that is perhaps never published.
    pub(super) fn wait_a_little(&mut self) {
        let name = self.common_name();
        let timeout = Duration::from_millis(self.random.u64(0..15));
        self.tried(Op::Wait, |_| registry::wait(&name, Some(timeout)));
    }

    /// Takes a name that no other area may have, holds it for a moment, and releases it. That no
    /// other process has it is shown by a record lock, which the kernel drops at death as it does
    /// the area. (Where the folder is removed, who holds a name and who comes do not see each
    /// other: the file of each folder is another.)
    pub(super) fn take_alone(&mut self) {
        /// Of one that is dying, the area may be gone before the record lock.
        const TIMEOUT: Duration = Duration::from_secs(2);
        let epoch = self.shared.epoch();
        let number = self.random.u32(0..3);
        let name = format!("{}-alone-{number}", self.options.tag);
        let area = self.tried(Op::Exclusive, |_| areas::builder(4096).name(&name).exclusive().shared());
        let Some(area) = area else { return };
        if epoch.is_multiple_of(2) && self.shared.epoch() == epoch {
            match self.board.alone(&format!("alone-{number}-{epoch}"), TIMEOUT) {
                Ok(Some(alone)) => {
                    std::thread::sleep(Duration::from_micros(self.random.u64(0..2000)));
                    drop(alone);
                }
                Ok(None) => self.found(Rule::Id, &format!("{name} is held alone by two at once")),
                Err(error) => self.found(Rule::Error, &format!("lock the file of {name}: {error}")),
            }
        }
        drop(area);
    }
}
