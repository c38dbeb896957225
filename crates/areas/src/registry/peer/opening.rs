//! Opening the objects of a peer's areas, and what to say where they are not there.

use std::os::fd::AsFd;

use super::locating::Place;
use super::object::{
    Looked, Opened, Rights, is_object, known_pages, open_looked, open_object_at, open_object_in,
};
use super::{Folders, Peer, stat_under};
use crate::error::{Error, ErrorKind, Result};
use crate::registry::table::Record;
use crate::sys;
use crate::sys::file::{OFlags, Stat};

impl Peer {
    /// Why an area's object is not under its number: it went, or we may not look any more, or the
    /// number leads elsewhere.
    #[cold]
    pub(super) fn explain(&self, record: &Record, what: impl FnOnce() -> String) -> Error {
        let went = |what| {
            Error::new(ErrorKind::NoSuchArea, what)
                .with_facts("it was released concurrently: its holder dropped it or died")
                .with_remedy("look for the name again: another holder may be there")
        };
        let folder = match self.locate() {
            Place::At(folder) => folder,
            Place::Dead => return went(what()),
            Place::Unreadable(reason) => {
                return Error::new(ErrorKind::Unreadable, what())
                    .with_facts(format!(
                        "its holder, process {}, cannot be read any more: {}",
                        self.link.pid, reason.text
                    ))
                    .with_remedy("run with the same user, group and capabilities, and with /proc mounted");
            }
        };
        let found = stat_under(&folder, record.descriptor).ok().filter(|stat| stat.identity == record.object);
        // After the number: a holder takes the record back before it closes the descriptor.
        if !self.view.lists(record.id) {
            return went(what());
        }
        let why = match found {
            Some(stat) if is_object(&stat, record).is_ok_and(|yes| !yes) => {
                "is not memory that areas are made of"
            }
            // It came back.
            Some(_) => return went(what()),
            None => {
                "is not the area's memory any more: the program closed it, or another file has the number"
            }
        };
        self.missing.add(record.id);
        Error::new(ErrorKind::NoSuchArea, what())
            .with_facts(format!(
                "process {} lists it as its descriptor {}, which {why}",
                self.link.pid, record.descriptor
            ))
            .with_remedy("look for the name again: such areas are passed over then; where it is mapped it stays usable")
    }

    /// Opens an area's object.
    ///
    /// The first time it is looked at through `/proc` before it is opened or taken, so that nothing
    /// of a file that is no area's is opened or closed. Later it is taken by its number at once.
    pub(in crate::registry) fn open_object(&self, record: &Record, rights: Rights) -> Result<Opened> {
        if let Some(opened) = self.take_object(record, rights) {
            return Ok(opened);
        }
        if self.look_to_take(record)
            && let Some(opened) = self.take_object(record, rights)
        {
            return Ok(opened);
        }
        let opened = open_object_at(&self.folder(), record, rights).or_else(|error| match error.kind() {
            ErrorKind::NoSuchArea | ErrorKind::Unreadable => match self.moved() {
                Some(folder) => open_object_at(&folder, record, rights),
                None => Err(error),
            },
            _ => Err(error),
        });
        let opened = opened.or_else(|error| match error.kind() {
            ErrorKind::NoSuchArea => Err(self.explain(record, || error.what().to_owned())),
            ErrorKind::Unreadable => self.open_old_users(record, rights, error),
            _ => Err(error),
        })?;
        self.taking.remember(record);
        Ok(opened)
    }

    /// The same for one of many that are looked at one after the other: by way of folders that stay
    /// open, where that does.
    pub(in crate::registry) fn open_object_among(
        &self,
        record: &Record,
        rights: Rights,
        folders: &mut Folders,
    ) -> Result<Opened> {
        if !self.taking.may_take(record)
            && let Some(folders) = folders.of(&self.folder())
            && let Ok(Some(opened)) = open_object_in(folders, record, rights, false)
        {
            self.taking.remember(record);
            return Ok(opened);
        }
        self.open_object(record, rights)
    }

    /// Takes an object that may not be opened by its name, as it is another user's: it came over a
    /// socket, or was made before its holder changed its user. For reading only it can be had where
    /// its holder has it so: else it would have to be opened.
    fn open_old_users(&self, record: &Record, rights: Rights, error: Error) -> Result<Opened> {
        let Some(stat) = self.stat(record).ok().filter(|stat| stat.uid != sys::process::user()) else {
            return Err(error);
        };
        self.taking.remember(record);
        self.take_object(record, rights).ok_or_else(|| {
            error.with_facts(format!(
                "it belongs to user {}, and we are user {}: made before its holder changed its user?",
                stat.uid,
                sys::process::user()
            ))
        })
    }

    /// What the kernel says of an area's object now, which may be taken next then: of a peer from
    /// which another one was opened before. `None` if it is not there.
    pub(in crate::registry) fn look_at(&self, record: &Record) -> Option<Stat> {
        let stat = self.stat(record).ok()?;
        self.allow_taking(record, &stat);
        Some(stat)
    }

    /// Whether an area's object may be taken now that it was looked at for that: a call through
    /// `/proc`, where to open it takes three.
    fn look_to_take(&self, record: &Record) -> bool {
        self.taking.may_look()
            && !self.taking.may_take(record)
            && self.handle().is_some()
            && stat_under(&self.folder(), record.descriptor)
                .is_ok_and(|stat| self.allow_taking(record, &stat))
    }

    /// Remembers that an area's object may be taken, if what was looked at is that.
    fn allow_taking(&self, record: &Record, looked: &Stat) -> bool {
        let allowed = self.taking.may_look() && is_object(looked, record).is_ok_and(|yes| yes);
        if allowed {
            self.taking.remember(record);
        }
        allowed
    }

    /// Takes what the peer has under the number of an area's object, where it was that object
    /// before.
    fn take_object(&self, record: &Record, rights: Rights) -> Option<Opened> {
        // Once an area is gone from the table, its number may be any file's.
        if !self.taking.may_take(record) || !self.view.lists(record.id) {
            return None;
        }
        let fd = match sys::process::take_descriptor(self.handle()?, record.descriptor) {
            Ok(fd) => fd,
            Err(errno) => {
                if [sys::Errno::PERM, sys::Errno::ACCESS, sys::Errno::NOSYS].contains(&errno) {
                    self.taking.give_up();
                }
                return None;
            }
        };
        let looked = match sys::object::sealed_stat(fd.as_fd()) {
            Ok(looked)
                if looked.stat.identity == record.object
                    && is_object(&looked.stat, record).is_ok_and(|yes| yes) =>
            {
                looked
            }
            // Another file has the number by now, or cannot be distinguished from one.
            _ => {
                // Another area's memory is often no more than one that came as ours went.
                if !sys::foreign::close_memory(fd) {
                    self.taking.give_up();
                }
                return None;
            }
        };
        let pages = known_pages(&looked.stat, record);
        if rights != Rights::Reading {
            return Some(Opened { fd, looked, pages });
        }
        // The kernel holds a reader to that if it was opened so; by way of our own number, which is
        // shorter than the owner's. It is the same object: its seals and size are what they were.
        let found = Looked { fd, stat: looked.stat };
        match open_looked(&found, OFlags::RDONLY) {
            Ok(fd) => Some(Opened { fd, looked, pages }),
            // Another user's, of which the owner was given no more than this.
            Err(_) => sys::file::is_writable(found.fd.as_fd())
                .is_ok_and(|writable| !writable)
                .then_some(Opened { fd: found.fd, looked, pages }),
        }
    }
}
