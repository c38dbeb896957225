//! This process's own team: its table, its link, its ids.

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use crate::error::{Error, ErrorKind, Result, remedy};
use crate::mapping::{Mapping, Plan, Sharing};
use crate::page::PageSize;
use crate::protection::Protection;
use crate::registry::directory::{Directory, Link, any_below};
use crate::registry::peer::{TABLE_SEALS, is_proven_dead};
use crate::registry::process::ProcessStat;
use crate::registry::table::{
    Announcement, AreaId, BLOCK, FIRST_GIVEN, Name, Note, OWN_BLOCKS, Owner, RECORDS, SLOTS, TABLE_BYTES,
    Table,
};
use crate::registry::transfer::{Claim, PendingTransfer, TransferSocket};
use crate::sys;
use crate::sys::checked_fd::CheckedFd;
use crate::sys::memory::{Advice, At, MapFlags};

/// How `/proc` calls a table.
pub(crate) const LABEL: &CStr = c"areas table";

/// A process that holds areas: ours.
#[derive(Debug)]
pub(in crate::registry) struct Team {
    table: Table,
    /// Never closed before the table goes: that would drop the record lock by which others see that
    /// we live.
    fd: CheckedFd,
    link: Link,
    /// Where others offer us areas; `None` where it could not be made: all else works without.
    transfer_socket: Option<TransferSocket>,
    /// The block of sequence numbers that is in use, and how many of it are.
    block: u32,
    used: u32,
}

/// What is tried in all of `Team::create`.
const WHAT: &str = "join the registry";

/// The error of a call that should not fail.
#[inline]
fn failed(call: &'static str) -> impl FnOnce(sys::Errno) -> Error {
    move |errno| Error::new(ErrorKind::System, WHAT).with_system_call(call, errno)
}

/// An object for a table: ours alone, of a table's size, not sealed yet.
#[inline]
fn new_object() -> Result<OwnedFd> {
    let fd = sys::object::create(LABEL, sys::object::Pages::Base).map_err(|errno| {
        let error = Error::new(ErrorKind::Limit, WHAT).with_system_call("memfd_create", errno);
        match errno {
            sys::Errno::MFILE | sys::Errno::NFILE => remedy::open_files(error),
            _ => error,
        }
    })?;
    let size = TABLE_BYTES as u64;
    if sys::limits::limit(sys::limits::Limit::FileSize).is_some_and(|limit| limit < size) {
        return Err(remedy::file_size(Error::new(ErrorKind::Limit, WHAT), size));
    }
    sys::file::set_mode(fd.as_fd(), 0o600).map_err(failed("fchmod(0600)"))?;
    sys::object::set_size(fd.as_fd(), size).map_err(failed("ftruncate"))?;
    Ok(fd)
}

/// Maps a table's object for this process: a forked child must not write there, and a core dump
/// must not fill the holes.
#[inline]
fn map_table(fd: BorrowedFd<'_>) -> Result<Mapping> {
    let mapping = Mapping::unlocked(&Plan {
        at: At::Anywhere,
        size: TABLE_BYTES,
        span: TABLE_BYTES,
        page: PageSize::base(),
        protection: Protection::READ_WRITE,
        sharing: Sharing::Shared,
        flags: MapFlags::SHARED,
        file: Some((fd, 0)),
        placement: None,
    })?;
    mapping.advise(Advice::DontFork).map_err(failed("madvise(MADV_DONTFORK)"))?;
    mapping.advise(Advice::DontDump).map_err(failed("madvise(MADV_DONTDUMP)"))?;
    Ok(mapping)
}

/// When this process was started, as others read it, too.
#[inline]
fn own_start_time() -> Result<u64> {
    const PATH: &str = "/proc/self/stat";
    let stat = ProcessStat::read(PATH).map_err(|error| {
        let errno = sys::Errno::from_io_error(&error).unwrap_or(sys::Errno::IO);
        let call = format!("open, read({PATH})");
        match errno {
            sys::Errno::MFILE | sys::Errno::NFILE => {
                remedy::open_files(Error::new(ErrorKind::Limit, WHAT).with_system_call(call, errno))
            }
            _ => Error::new(ErrorKind::Registry, WHAT)
                .with_system_call(call, errno)
                .with_remedy("/proc must be mounted: `mount -t proc proc /proc`, in a chroot, too"),
        }
    })?;
    Ok(stat.start_time)
}

impl Team {
    /// Makes the table, and last of all the link by which others find it: one that says that it is
    /// `empty`, where nothing is published with it.
    pub(in crate::registry) fn create(directory: &Directory, empty: bool) -> Result<Self> {
        let fd = new_object()?;
        let mapping = map_table(fd.as_fd())?;
        sys::record_lock::take(fd.as_fd()).map_err(failed("fcntl(F_SETLK)"))?;
        let fd = CheckedFd::new(fd).map_err(failed("fstat"))?;
        let identity = fd.identity();
        let pid = sys::process::pid();
        let start_time = own_start_time()?;
        // The slot is claimed by the link, which is last: until then the table says a slot that
        // no process looks for.
        let table = Table::create(mapping, &Owner { slot: 0, pid, start_time, table: identity })?;
        // Anywhere: what was given to who had the slot before had other ids.
        table.set_next_given(any_below(u32::MAX))?;
        sys::object::seal(fd.as_fd(), TABLE_SEALS).map_err(|errno| {
            failed("fcntl(F_ADD_SEALS, F_SEAL_FUTURE_WRITE | …)")(errno).with_remedy("this needs Linux 5.1")
        })?;
        let wanted = Link {
            slot: any_below(SLOTS),
            start_time,
            inode: identity.inode,
            pid,
            descriptor: fd.as_fd().as_raw_fd(),
            empty,
        };
        let mut team = Team { table, fd, link: wanted, transfer_socket: None, block: 0, used: BLOCK };
        let _ = team.open_transfer_socket(directory);
        team.claim(directory)?;
        Ok(team)
    }

    /// Makes our transfer socket, if there is none yet, or the program closed its descriptors.
    pub(in crate::registry) fn open_transfer_socket(&mut self, directory: &Directory) -> Result<()> {
        if self.transfer_socket.as_ref().is_none_or(|socket| !socket.is_intact()) {
            let socket = TransferSocket::make(directory, self.link.start_time)?;
            self.table.set_transfer_socket(socket.at(), PendingTransfer::VERSION)?;
            self.transfer_socket = Some(socket);
        }
        Ok(())
    }

    pub(in crate::registry) fn transfer_socket(&self) -> Option<&TransferSocket> {
        self.transfer_socket.as_ref()
    }

    /// Claims a slot, the one that we have if it can be. Areas keep their ids where the slot stays
    /// the same.
    pub(in crate::registry) fn claim(&mut self, directory: &Directory) -> Result<()> {
        let before = self.link.slot;
        // The table names a slot before the link does: whoever follows the link finds that they
        // agree.
        let claimed = directory.claim(&self.link, |slot| self.table.set_slot(slot), is_proven_dead)?;
        if claimed.slot != before || self.table.live() == 0 {
            self.used = BLOCK;
        }
        let link = std::mem::replace(&mut self.link, claimed);
        if let Err(error) = self.renumber(directory) {
            // Without a link no process sees areas with ids of two slots, and the next call claims
            // again.
            directory.remove(&self.link);
            self.link = link;
            return Err(error);
        }
        Ok(())
    }

    /// Has others look into the table, before the first area is in it: a link that does not say
    /// that it is empty.
    fn show(&mut self, directory: &Directory) -> Result<()> {
        if !self.link.empty {
            return Ok(());
        }
        let before = self.link.clone();
        self.link.empty = false;
        match self.claim(directory) {
            Ok(()) => {
                // Behind the other one, so that the slot is seen to be taken at each moment.
                directory.remove(&before);
                Ok(())
            }
            Err(error) => {
                self.link = before;
                Err(error)
            }
        }
    }

    /// Gives areas that still have ids of another slot ids of ours.
    fn renumber(&mut self, directory: &Directory) -> Result<()> {
        let slot = self.link.slot;
        let of_another_slot: Vec<u32> = self
            .table
            .view()
            .records()
            .filter(|(_, _, record)| record.id.slot() != slot)
            .map(|(number, _, _)| number)
            .collect();
        for number in of_another_slot {
            let id = self.next_id(directory)?;
            self.table.set_id(number, id)?;
        }
        Ok(())
    }

    pub(in crate::registry) fn link(&self) -> &Link {
        &self.link
    }

    pub(in crate::registry) fn table(&self) -> &Table {
        &self.table
    }

    /// Whether our descriptor is still what it was: a program may have closed all that it does not
    /// know.
    pub(in crate::registry) fn is_intact(&self) -> Result<bool> {
        self.fd.look().map_err(|errno| {
            Error::new(ErrorKind::System, "look at this process's table").with_system_call("fstat", errno)
        })
    }

    /// Whether the next area needs ids that are not leased yet.
    pub(in crate::registry) fn needs_ids(&self) -> bool {
        self.used >= BLOCK
    }

    /// In a forked child: leaves what is the parent's. Its table is not mapped here, and what
    /// is mapped at that address by now is not ours; its descriptor would keep the table in
    /// memory beyond the parent's death.
    pub(in crate::registry) fn leave_to_parent(self) {
        let Team { table, fd, transfer_socket, .. } = self;
        table.leave_to_parent();
        drop((fd, transfer_socket));
    }

    /// Publishes an area: the number of its record, and the id that it has now. The one that its
    /// giver claimed for it, if that is ours to give.
    pub(in crate::registry) fn publish(
        &mut self,
        directory: &Directory,
        area: &Announcement,
        claim: Option<&Claim>,
    ) -> Result<(u32, AreaId)> {
        let what = |name: &Name| format!("publish area {name:?}");
        if self.table.is_full() {
            return Err(Error::new(ErrorKind::Limit, what(&area.name))
                .with_facts(format!(
                    "this process has published {RECORDS} areas, which is as many as a team can"
                ))
                .with_remedy("drop some, or hold them in several processes"));
        }
        self.show(directory)?;
        let id = match claim.and_then(|claim| self.claimed(directory, claim)) {
            Some(id) => {
                self.table.open_block(id.sequence() / BLOCK)?;
                self.table.set_next_given(id.sequence() - FIRST_GIVEN + 1)?;
                id
            }
            None => self.next_id(directory)?,
        };
        let number = self.table.insert(id, sys::process::boot_time(), area)?;
        let number = number
            .ok_or_else(|| Error::new(ErrorKind::Limit, what(&area.name)).with_facts("the table is full"))?;
        Ok((number, id))
    }

    /// Changes what a record says of its place, extent and addresses.
    pub(in crate::registry) fn update(&mut self, number: u32, area: &Announcement) -> Result<()> {
        self.table.make_way(number, area)?;
        self.table.update(number, area)
    }

    /// Changes what is noted beside an area.
    pub(in crate::registry) fn set_note(&mut self, number: u32, name: &Name, note: &Note) -> Result<()> {
        if self.table.set_note(number, note)? {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Limit,
            format!("note {} bytes beside area {name:?}", note.as_bytes().len()),
        )
        .with_facts(format!("its table has {RECORDS} places, and all of them are taken"))
        .with_remedy("drop some areas, or hold them in several processes"))
    }

    pub(in crate::registry) fn withdraw(&mut self, number: u32) -> Result<()> {
        self.table.remove(number)
    }

    /// The id that was claimed, if no live area has it and the claim is what it says.
    fn claimed(&self, directory: &Directory, claim: &Claim) -> Option<AreaId> {
        let id = claim.id();
        (claim.holds(directory, self.link.slot) && !self.table.sequence_is_live(id.sequence())).then_some(id)
    }

    /// An id that no live area has, and none on its way.
    fn next_id(&mut self, directory: &Directory) -> Result<AreaId> {
        // Each block once, and the first one again.
        for _ in 0..=OWN_BLOCKS {
            while self.used < BLOCK {
                let sequence = self.block * BLOCK + self.used;
                self.used += 1;
                if sequence != 0 && !self.table.sequence_is_live(sequence) {
                    return Ok(AreaId::from_parts(self.link.slot, sequence));
                }
            }
            self.block = directory.lease(self.link.slot)?;
            self.table.open_block(self.block)?;
            self.used = 0;
        }
        Err(Error::new(ErrorKind::Limit, "give an area an id")
            .with_facts(format!("all {FIRST_GIVEN} ids that this team gives are in use")))
    }
}
