//! What is left of an area of which the program has taken addresses away itself, and areas that are
//! a part of their object.
//!
//! | taken away | what is left |
//! |---|---|
//! | the head | the area begins behind it, and at another byte of its object; it grows and shrinks with the object as before |
//! | the tail | the area ends there. Where no other process has the object, so does the object; else the area is *capped*: its size is its own |
//! | the middle | two areas: the part before, capped, under the old id, and what lies behind under a new one |
//! | all | nothing |
//!
//! The memory of what was taken away is freed at once where it is known that no other process has
//! it ([`Object::is_sole`]); else it stays as long as the object does. Why and how:
//! docs/design/cut-areas.md.

#![expect(clippy::single_range_in_vec_init, reason = "lists of ranges, of which one may be all")]

use std::ops::Range;
use std::sync::atomic::{Ordering, fence};

use super::kind::MaybeObject;
use super::left::{Left, outside};
use super::{Area, AreaKind, Resizable, parts};
use crate::error::{Error, ErrorKind, Rejected, Result};
use crate::mapping::Mapping;
use crate::object::{Extent, Object, Piece};
use crate::owner::Owners;
use crate::registry::{self, Publication};
use crate::size::Bytes;

impl<K: AreaKind> Area<K> {
    /// Which of its addresses the kernel no longer has as this area's, in bytes from its beginning;
    /// nothing where all is well. Its reserve counts.
    ///
    /// For programs that have unmapped a part of it, or mapped something over it, without its help:
    /// that takes unsafe code, and must not be done without [`reconcile`](Area::reconcile). What
    /// can be proved: an area over an [`Object`] (all but private ones) has the very bytes of that
    /// object mapped, shared; whatever else is there is not its own. Of private memory only what is
    /// not mapped at all, or is shared, is known to be gone.
    ///
    /// Three system calls where all is well (Linux 6.11), else one more for each mapping there; on
    /// older kernels `/proc/self/maps` is read.
    ///
    /// # Errors
    /// [`ErrorKind::System`] where `/proc` is not there, or may not be read.
    pub fn missing(&self) -> Result<Vec<Range<usize>>> {
        self.mapping.lost().map_err(|errno| {
            Error::new(ErrorKind::System, format!("look at what is mapped of {self}"))
                .with_system_call("open(/proc/thread-self/maps), ioctl(PROCMAP_QUERY)", errno)
                .with_remedy("/proc must be mounted, and let this process read its own maps")
        })
    }

    /// Releases the addresses that are [missing](Area::missing), without touching what is there
    /// now: what is left comes back, in the order of addresses. The first part keeps the id, each
    /// other one is an area of its own, published under the same name. Nothing comes back where
    /// nothing is left.
    ///
    /// A part can do what the area could: it is resized, protected, cloned (the clone is one of the
    /// part), transferred. It cannot be frozen, or sent over a socket.
    ///
    /// # Errors
    /// The area comes back as it was, with what [`missing`](Area::missing) says, or
    /// [`ErrorKind::Limit`] where no descriptor is free for a second part.
    pub fn reconcile(self) -> Result<Vec<Self>, Rejected<Self>> {
        match self.missing() {
            Ok(missing) if missing.is_empty() => Ok(vec![self]),
            Ok(missing) => self.cut(&missing),
            Err(error) => Err(Rejected::new(error, self)),
        }
    }

    /// Notes that its memory is mapped elsewhere in this process, or will be: what is cut off it is
    /// not freed then. For programs that interpose mremap.
    ///
    /// Where it cannot be noted (no descriptor, a sandbox), the mapping elsewhere may lose its
    /// memory when the area is cut.
    #[doc(hidden)]
    pub fn note_holder(&self) {
        let _ = self.object.get().map(Object::mark_held);
    }

    /// Releases some of its addresses, in bytes from its beginning, in order: they are no longer
    /// its own, or will not be in a moment. Nothing is unmapped.
    ///
    /// # Errors
    /// As [`reconcile`](Area::reconcile).
    #[doc(hidden)]
    pub fn cut(mut self, lost: &[Range<usize>]) -> Result<Vec<Self>, Rejected<Self>> {
        // What had bytes when it was last looked at is not only a reserve: another holder may have
        // made the area smaller since, and make it larger again.
        let seen = self.object.get().map_or(0, Object::size_seen);
        let seen = self.mapping.page_size().round_up(seen).unwrap_or(usize::MAX).min(self.mapping.span());
        let used = self.used().max(seen);
        let left = Left::of(lost, self.mapping.page_size().bytes(), self.mapping.span(), used);
        let mut objects = Vec::new();
        for _ in left.kept.iter().skip(1) {
            match self.object.again() {
                Ok(object) => objects.push(object),
                Err(error) => {
                    let what = format!("release the addresses of {self} that the program has unmapped");
                    return Err(Rejected::new(Error::new(error.kind(), what).caused_by(error), self));
                }
            }
        }
        let before = self.object.get().map_or(Piece::WHOLE, Object::piece);
        let span = self.mapping.span();
        // From here on nothing fails.
        let all: Vec<_> = left.kept.iter().chain(&left.remnants).cloned().collect();
        let mut mappings = self.mapping.keep(&all);
        // What is left of a reserve that lies behind a gap: it is not grown into.
        drop(mappings.split_off(left.kept.len().saturating_sub(1).min(mappings.len())));
        let others: Vec<Self> = left
            .kept
            .iter()
            .skip(1)
            .zip(mappings)
            .zip(objects)
            .map(|((part, mapping), mut object)| {
                if let Some(object) = object.get_mut() {
                    left.narrow(part, before, object);
                }
                self.alike(mapping, object)
            })
            .collect();
        if let (Some(part), Some(object)) = (left.kept.first(), self.object.get_mut()) {
            left.narrow(part, before, object);
        }
        let gone: Vec<_> =
            left.gone().map(|part| before.first + part.start as u64..left.file_end(&part, before)).collect();
        if left.kept.is_empty() {
            self.give_all_up(&gone);
            return Ok(Vec::new());
        }
        let mut parts = vec![self];
        parts.extend(others);
        Area::announce_parts(&mut parts);
        for part in &parts {
            part.note_shorter_reserve(before, span);
        }
        parts[0].give_memory_up(&gone);
        for part in &mut parts {
            part.follow_the_end();
        }
        Ok(parts)
    }

    /// An area as this one is, over something else, and not published.
    fn alike(&self, mapping: Mapping, object: K::Object) -> Self {
        Area {
            publication: None,
            owners: Owners::default(),
            mapping,
            object,
            name: self.name.clone(),
            note: self.note.clone(),
            lock: self.lock,
            placement: self.placement.clone(),
            may_collapse: self.may_collapse,
            collapsed: 0,
            undumped: self.undumped,
        }
    }

    /// Publishes all parts in one step: the first has the place that the area had.
    fn announce_parts(parts: &mut [Self]) {
        let reported: Vec<_> = parts.iter().filter_map(Area::part_announcement).collect();
        let Some(publication) = parts.first().and_then(|first| first.publication.as_ref()) else { return };
        let others = publication.divide(reported);
        for (part, publication) in parts.iter_mut().skip(1).zip(others) {
            part.publication = Some(publication);
        }
    }

    fn part_announcement(&self) -> Option<registry::Announcement> {
        let object = self.object.get()?;
        Some(self.announcement(self.name.clone()?, &self.mapping, object))
    }

    /// Who grows the object asks from now on, where a part that goes up to its end has fewer
    /// addresses than the area had.
    fn note_shorter_reserve(&self, before: Piece, span: usize) {
        if let Some(object) = self.object.get()
            && let (Extent::Resizable { .. }, false) = (object.extent(), object.is_capped())
            && object.piece().first + self.mapping.span() as u64 != before.first + span as u64
        {
            // Its descriptor may be closed: then no process is led to it either.
            let _ = object.mark_uneven();
        }
    }

    /// Frees ranges of its object's file, but for what it has itself, and other areas of this
    /// process have: if no other process has it. Of one that is not published the other parts are
    /// not known.
    fn give_memory_up(&self, gone: &[Range<u64>]) {
        let (Some(object), Some(publication)) = (self.object.get(), &self.publication) else { return };
        free(object, gone, || {
            let mut others = publication.other_parts(object.identity())?;
            others.push(object.piece().range(self.mapping.span() as u64));
            Some(others)
        });
    }

    /// The same of one of which nothing is left: withdraws it first. A process that clones it in
    /// the meantime has marked the object before it looks whether the area is still there.
    fn give_all_up(&mut self, gone: &[Range<u64>]) {
        let (Some(object), Some(publication)) = (self.object.get(), self.publication.take()) else { return };
        drop(publication);
        free(object, gone, || Publication::parts_of(object.identity()));
    }

    /// A part that had more of the object behind it, and has no longer, goes up to the end again.
    fn follow_the_end(&mut self) {
        let Some(object) = self.object.get_mut() else { return };
        let (Extent::Resizable { .. }, Some(limit)) = (object.extent(), object.piece().limit) else { return };
        let end = object.piece().first + limit;
        if self.publication.is_some()
            && object.is_sole()
            && object.whole_file_size().is_ok_and(|size| size <= end)
        {
            object.set_limit(None);
            object.widen(self.mapping.span());
            self.announce_part();
        }
    }

    fn announce_part(&self) {
        if let (Some(publication), Some(reported)) = (&self.publication, self.part_announcement()) {
            let _ = publication.divide(vec![reported]);
        }
    }

    /// Drops it. Where it is a part of an object of which this process has other parts, and no
    /// other process has any, its memory is freed at once; otherwise memory goes with the object's
    /// last holder, as ever.
    #[doc(hidden)]
    pub fn discard(mut self) {
        let part = self.object.get().map(Object::piece).filter(|piece| !piece.is_whole());
        if let Some(part) = part {
            // What is mapped there of it is zeros for a moment, or beyond the end, and no area's.
            self.give_all_up(&[part.range(self.mapping.span() as u64)]);
        }
    }

    /// Before it is withdrawn, and stays: another part of its object neither grows over it nor
    /// frees its memory from then on.
    pub(super) fn note_hidden_part(&self) {
        if self.object.get().is_some_and(|object| !object.piece().is_whole()) {
            // Where it cannot be noted, its maker may not note it either.
            let _ = self.object.get().map(Object::mark_held);
        }
    }

    /// Refuses what makes no sense for a part of an object.
    pub(super) fn refuse_part(&self, what: impl FnOnce() -> String) -> Result<()> {
        match self.object.get().map(Object::piece) {
            None | Some(Piece::WHOLE) => Ok(()),
            Some(_) => Err(Error::new(ErrorKind::Unsupported, what())
                .with_facts("the program has unmapped a part, and the object is not this area's alone")
                .with_remedy("copy what it holds into an area of its own")),
        }
    }
}

/// Frees ranges of an object's file that no area of this process has, if no other process has it.
/// What the records say was changed before.
fn free(object: &Object, gone: &[Range<u64>], others: impl FnOnce() -> Option<Vec<Range<u64>>>) {
    if gone.is_empty() {
        return;
    }
    let Some(_alone) = parts::alone() else { return };
    // Before the look at the mark, as who clones marks before it looks at the record.
    fence(Ordering::SeqCst);
    if !object.is_sole() {
        return;
    }
    for range in others().map(|others| outside(gone, &others)).unwrap_or_default() {
        let _ = object.give_up(range);
    }
}

impl Area<Resizable> {
    /// [`resize`](Area::resize) of one with more of its object behind it: its size is its own. It
    /// grows into bytes of the object that no area has.
    pub(super) fn resize_capped(&mut self, wanted: usize, what: &dyn Fn() -> String) -> Result<()> {
        let span = self.mapping.span();
        if wanted <= span {
            return self.shorten_capped(wanted, span, what);
        }
        let alone = parts::alone();
        let object = &self.object;
        let piece = object.piece();
        let (from, to) = (piece.first + span as u64, piece.first + wanted as u64);
        let others =
            self.publication.as_ref().and_then(|publication| publication.other_parts(object.identity()));
        let known = others.is_some() && alone.is_some() && object.is_sole();
        let others = others.unwrap_or_default();
        if !known || others.iter().any(|other| other.start < to && other.end > from) {
            return Err(Error::new(ErrorKind::AddressInUse, what())
                .with_facts(
                    "the program has unmapped its end, which belongs to other holders, or to another part",
                )
                .with_remedy("make a larger one, and copy what it holds"));
        }
        let is_last = others.iter().all(|other| other.end <= from);
        // Zeros, whatever was there.
        let whole = object.whole_file_size()?;
        if whole > from && !object.give_up(from..if is_last { u64::MAX } else { to }) {
            return Err(
                Error::new(ErrorKind::System, what()).with_facts("the memory behind it cannot be emptied")
            );
        }
        self.widen(wanted).inspect_err(|_| self.mapping.cut(span)).map_err(|error| {
            Error::new(error.kind(), what()).with_facts("it has no addresses for that").caused_by(error)
        })?;
        let whose = self.to_string();
        let grown = self.set_whole_size(to, &whose).and_then(|()| {
            self.object.set_limit(if is_last { None } else { Some(wanted as u64) });
            self.object.widen(wanted);
            self.lock_tail(&whose)
        });
        if let Err(error) = grown {
            self.object.set_limit(Some(span as u64));
            self.mapping.cut(span);
            return Err(error);
        }
        self.announce_part();
        Ok(())
    }

    /// Refuses where another published holder, in whatever process, has some of these bytes.
    fn refuse_if_others_have(&self, from: usize, to: usize, what: &dyn Fn() -> String) -> Result<()> {
        let object = &self.object;
        let first = object.piece().first;
        let (from, to) = (first + from as u64, first + to as u64);
        let holders: Vec<String> = registry::list_of(object.identity())?
            .areas
            .iter()
            .filter(|other| !self.publication.as_ref().is_some_and(|own| own.is(other.id())))
            .filter(|other| {
                let record = other.record();
                let theirs = record.piece.range(record.span);
                theirs.start < to && theirs.end > from
            })
            .map(|other| format!("area {} in process {}", other.id(), other.pid()))
            .collect();
        match holders.is_empty() {
            true => Ok(()),
            false => Err(Error::new(ErrorKind::AddressInUse, what())
                .with_facts(format!(
                    "the program has unmapped what was behind it, and other holders have its end mapped: {}",
                    holders.join(", ")
                ))
                .with_remedy("have these clones dropped; or unmap its end, which needs no other holder")),
        }
    }

    /// Makes its file as large as that, if it is smaller.
    fn set_whole_size(&self, size: u64, whose: &str) -> Result<()> {
        let object = &self.object;
        match object.whole_file_size()? < size {
            true => {
                let part = usize::try_from(size - object.piece().first).unwrap_or(usize::MAX);
                object.resize(part, self.placement.whole(), whose)
            }
            false => Ok(()),
        }
    }

    /// Its end is unmapped. Who else has those bytes would keep them, and a resize is one of all
    /// holders: it is refused then.
    fn shorten_capped(&mut self, wanted: usize, span: usize, what: &dyn Fn() -> String) -> Result<()> {
        if wanted == span {
            return Ok(());
        }
        self.refuse_if_others_have(wanted, span, what)?;
        self.mapping.cut(wanted);
        if self.mapping.span() != wanted {
            return Err(Error::new(ErrorKind::System, format!("resize {self} to {}", Bytes::from(wanted)))
                .with_facts("its end could not be unmapped: the process may make no more mappings"));
        }
        let first = self.object.piece().first;
        self.object.set_limit(Some(wanted as u64));
        self.announce_part();
        self.give_memory_up(&[first + wanted as u64..first + span as u64]);
        self.follow_the_end();
        Ok(())
    }
}
