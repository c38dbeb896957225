//! The board: what each process of the storm says of itself, in one small file a process, so that
//! nothing is lost when it is killed.
//!
//! It is independent of what is tested: plain files, `pread` and `pwrite`. A process holds the
//! POSIX record lock of its file, which the kernel drops when it dies or calls exec and never
//! passes to a child: that is how others know that it lives.
//!
//! ```text
//! 0      who: process, life, group, seed, operation and its beginning, operations done, bytes checked, planned death
//! 256    counts: for each operation, how often it came to which outcome
//! 16384  journal: for each published area its id and its object's inode
//! ```

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::FlockOperation;
use rustix::process::{Flock, FlockOffsetType, FlockType, Pid};

use crate::op::{OUTCOMES, Op, outcome};

/// Processes at once, children's children included.
pub(crate) const SLOTS: usize = 1024;
const COUNTS: u64 = 256;
const JOURNAL: u64 = 16384;
/// Areas that one process may have in its journal at once.
pub(crate) const ENTRIES: usize = 128;
const ENTRY_BYTES: usize = 40;

/// What a process says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Who {
    pub(crate) pid: u64,
    /// A number that no other process of this storm has, before and after exec.
    pub(crate) life: u64,
    /// The number of the worker that it descends from.
    pub(crate) group: u64,
    pub(crate) seed: u64,
    /// The operation that it is in, counted from 1; 0 between two.
    pub(crate) op: u64,
    /// When that began: nanoseconds of the monotonic clock.
    pub(crate) begun: u64,
    pub(crate) done: u64,
    pub(crate) checked: u64,
    /// 1 if it is about to end by itself.
    pub(crate) ending: u64,
}

impl Who {
    const BYTES: usize = 72;

    fn to_bytes(self) -> [u8; Who::BYTES] {
        let Who { pid, life, group, seed, op, begun, done, checked, ending } = self;
        let mut bytes = [0; Who::BYTES];
        let words = [pid, life, group, seed, op, begun, done, checked, ending];
        for (chunk, word) in bytes.chunks_mut(8).zip(words) {
            chunk.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Self {
        let mut words = words(bytes);
        let mut next = || words.next().unwrap_or(0);
        Who {
            pid: next(),
            life: next(),
            group: next(),
            seed: next(),
            op: next(),
            begun: next(),
            done: next(),
            checked: next(),
            ending: next(),
        }
    }
}

fn words(bytes: &[u8]) -> impl Iterator<Item = u64> {
    bytes.as_chunks::<8>().0.iter().map(|&chunk| u64::from_le_bytes(chunk))
}

/// A published area, as its holder recorded it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Changes with each record; odd means that nothing is there, or about to go.
    pub(crate) generation: u64,
    pub(crate) life: u64,
    pub(crate) id: u64,
    pub(crate) inode: u64,
    /// How often the folder had been removed when it was recorded: ids may change with that.
    pub(crate) epoch: u64,
}

/// The folder of the board.
#[derive(Clone, Debug)]
pub(crate) struct Board {
    folder: PathBuf,
}

impl Board {
    pub(crate) fn at(run: &Path) -> Self {
        Board { folder: run.join("board") }
    }

    pub(crate) fn create(run: &Path) -> io::Result<Self> {
        let board = Board::at(run);
        fs::create_dir(&board.folder)?;
        fs::write(board.folder.join("epoch"), 0_u64.to_le_bytes())?;
        fs::write(board.folder.join("supervisor"), [])?;
        Ok(board)
    }

    fn open(&self, name: &str) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(self.folder.join(name))
    }

    /// A file that no other process has locked while it is open here; `None` if a process has had
    /// it for so long.
    pub(crate) fn alone(&self, name: &str, timeout: Duration) -> io::Result<Option<File>> {
        let file = self.open(name)?;
        let end = Instant::now() + timeout;
        loop {
            match rustix::fs::fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Some(file)),
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::ACCESS) if Instant::now() < end => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::ACCESS) => return Ok(None),
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Takes the first free place for this process.
    pub(crate) fn claim(&self, who: Who) -> io::Result<Slot> {
        for number in 0..SLOTS {
            let file = self.open(&number.to_string())?;
            match rustix::fs::fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {
                    let mut counts = vec![0; Op::ALL.len() * OUTCOMES * 8];
                    read_some(&file, &mut counts, COUNTS)?;
                    let mut before = [0; Who::BYTES];
                    read_some(&file, &mut before, 0)?;
                    let who = Who { checked: Who::from_bytes(&before).checked, ..who };
                    let slot = Slot { file, number, who, counts: words(&counts).collect(), generation: 0 };
                    slot.notify()?;
                    return Ok(slot);
                }
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::ACCESS) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Err(io::Error::other(format!("all {SLOTS} places of the board are taken")))
    }

    /// Bytes checked by all who ever had a place: each adds to what was there.
    pub(crate) fn checked(&self) -> u64 {
        (0..SLOTS).map_while(|number| self.look(number)).map(|place| place.who().checked).sum()
    }

    /// Another process's place; `None` if no process ever had it.
    pub(crate) fn look(&self, number: usize) -> Option<Place> {
        let file = File::open(self.folder.join(number.to_string())).ok()?;
        Some(Place { file })
    }

    /// The supervisor's, or a worker's, hold on the run: it is over when the supervisor is gone.
    pub(crate) fn supervise(&self) -> io::Result<File> {
        let file = self.open("supervisor")?;
        rustix::fs::fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(file)
    }

    /// Where the supervisor holds its record lock, and the count of removed folders.
    pub(crate) fn shared(&self) -> io::Result<Shared> {
        Ok(Shared { supervisor: File::open(self.folder.join("supervisor"))?, epoch: self.open("epoch")? })
    }
}

/// What all processes of the storm look at.
#[derive(Debug)]
pub(crate) struct Shared {
    supervisor: File,
    epoch: File,
}

impl Shared {
    pub(crate) fn is_over(&self) -> bool {
        locked_by(&self.supervisor).is_none()
    }

    /// How often the registry's folder was removed, twice; odd while that is being done.
    pub(crate) fn epoch(&self) -> u64 {
        let mut bytes = [0; 8];
        let _ = self.epoch.read_at(&mut bytes, 0);
        u64::from_le_bytes(bytes)
    }

    pub(crate) fn set_epoch(&self, epoch: u64) -> io::Result<()> {
        self.epoch.write_all_at(&epoch.to_le_bytes(), 0)
    }

    pub(crate) fn call(&self) -> Call {
        let mut byte = [0];
        let _ = self.epoch.read_at(&mut byte, CALL);
        match byte {
            [1] => Call::Crowded,
            [2] => Call::Rest,
            _ => Call::GoOn,
        }
    }

    pub(crate) fn set_call(&self, call: Call) -> io::Result<()> {
        self.epoch.write_all_at(&[call as u8], CALL)
    }
}

/// What the supervisor calls to all, behind the count of removed folders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    GoOn = 0,
    /// No process forks for now: more processes would only wait for each other.
    Crowded = 1,
    /// The storm is over: whoever has ended an operation begins no other, and keeps what it has.
    Rest = 2,
}

const CALL: u64 = 8;

/// Who holds the record lock of a file; our own does not show.
fn locked_by(file: &File) -> Option<u64> {
    let whole = Flock {
        start: 0,
        length: 0,
        pid: None,
        // A lock for reading is what a descriptor for reading may ask about.
        typ: FlockType::ReadLock,
        offset_type: FlockOffsetType::Set,
    };
    let owner = rustix::process::fcntl_getlk(file, &whole).ok().flatten()?;
    owner.pid.map(|pid| u64::from(Pid::as_raw(Some(pid)).unsigned_abs()))
}

fn read_some(file: &File, into: &mut [u8], at: u64) -> io::Result<()> {
    let mut got = 0;
    while got < into.len() {
        match file.read_at(&mut into[got..], at + got as u64)? {
            // Beyond the end nothing was ever said: zeros.
            0 => return Ok(()),
            n => got += n,
        }
    }
    Ok(())
}

/// This process's place. Its file is opened once: closing another descriptor of it would drop the
/// record lock.
#[derive(Debug)]
pub(crate) struct Slot {
    file: File,
    pub(crate) number: usize,
    pub(crate) who: Who,
    counts: Vec<u64>,
    generation: u64,
}

impl Slot {
    fn notify(&self) -> io::Result<()> {
        self.file.write_all_at(&self.who.to_bytes(), 0)
    }

    pub(crate) fn begin(&mut self, op: Op) {
        self.who.op = op.index() as u64 + 1;
        self.who.begun = now();
        let _ = self.notify();
    }

    pub(crate) fn end(&mut self, op: Op, kind: Option<areas::ErrorKind>) {
        let at = op.index() * OUTCOMES + outcome(kind);
        if let Some(count) = self.counts.get_mut(at) {
            *count += 1;
            let _ = self.file.write_all_at(&count.to_le_bytes(), COUNTS + at as u64 * 8);
        }
        self.who.op = 0;
        self.who.done += 1;
        let _ = self.notify();
    }

    /// Says that this process is about to end by itself, or to call exec, by an operation.
    pub(crate) fn ending(&mut self, op: Op) {
        self.end(op, None);
        self.who.ending = 1;
        let _ = self.notify();
    }

    pub(crate) fn record(&mut self, entry: usize, id: u64, inode: u64, epoch: u64) {
        self.generation += 2;
        let entry_now = Entry { generation: self.generation, life: self.who.life, id, inode, epoch };
        self.write_entry(entry, entry_now);
    }

    /// From now on no process is to find it.
    pub(crate) fn strike(&mut self, entry: usize) {
        self.generation += 2;
        self.write_entry(entry, Entry { generation: self.generation + 1, ..Entry::default() });
    }

    fn write_entry(&self, number: usize, entry: Entry) {
        let Entry { generation, life, id, inode, epoch } = entry;
        let bytes: Vec<u8> =
            [generation, life, id, inode, epoch].iter().flat_map(|word| word.to_le_bytes()).collect();
        let _ = self.file.write_all_at(&bytes, JOURNAL + (number * ENTRY_BYTES) as u64);
    }
}

/// Another process's place.
#[derive(Debug)]
pub(crate) struct Place {
    file: File,
}

impl Place {
    pub(crate) fn who(&self) -> Who {
        let mut bytes = [0; Who::BYTES];
        let _ = read_some(&self.file, &mut bytes, 0);
        Who::from_bytes(&bytes)
    }

    /// Who it is, if that process lives.
    pub(crate) fn living(&self) -> Option<Who> {
        let owner = locked_by(&self.file)?;
        let who = self.who();
        (owner == who.pid).then_some(who)
    }

    /// Whether it lives and is not about to end: the kernel closes the descriptors of the dying one
    /// by one, this place's among them.
    pub(crate) fn lives_on(&self, who: &Who) -> bool {
        self.living().is_some_and(|now| (now.pid, now.life, now.ending) == (who.pid, who.life, 0))
            && !crate::proc::is_exiting(who.pid)
            // Whoever died and was replaced concurrently is another process.
            && self.living().is_some_and(|now| now.life == who.life)
    }

    pub(crate) fn entry(&self, number: usize) -> Entry {
        let mut bytes = [0; ENTRY_BYTES];
        let _ = read_some(&self.file, &mut bytes, JOURNAL + (number * ENTRY_BYTES) as u64);
        let mut words = words(&bytes);
        let mut next = || words.next().unwrap_or(0);
        Entry { generation: next(), life: next(), id: next(), inode: next(), epoch: next() }
    }

    /// How often each operation came to each outcome, in all processes that had this place.
    pub(crate) fn counts(&self) -> Vec<u64> {
        let mut bytes = vec![0; Op::ALL.len() * OUTCOMES * 8];
        let _ = read_some(&self.file, &mut bytes, COUNTS);
        words(&bytes).collect()
    }
}

/// Nanoseconds of the monotonic clock.
pub(crate) fn now() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}

/// A number for the life of a process that no other process has: the moment, and who asks.
pub(crate) fn new_life() -> u64 {
    now() << 15 | u64::from(std::process::id() & 0x7fff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_read_and_counts_outlive_their_process() {
        let run = tempfile::tempdir().unwrap();
        let board = Board::create(run.path()).unwrap();
        let who = Who { pid: u64::from(std::process::id()), life: 7, seed: 3, ..Who::default() };
        let mut slot = board.claim(who).unwrap();
        slot.begin(Op::Find);
        let place = board.look(slot.number).unwrap();
        assert_eq!((place.who().op, place.who().life), (Op::Find.index() as u64 + 1, 7));
        slot.end(Op::Find, Some(areas::ErrorKind::NoSuchArea));
        slot.record(5, 99, 1234, 2);
        let entry = place.entry(5);
        assert_eq!((entry.generation % 2, entry.id, entry.inode, entry.life), (0, 99, 1234, 7));
        slot.strike(5);
        assert_eq!(place.entry(5).generation % 2, 1);
        assert_eq!(place.entry(6), Entry::default());
        let shared = board.shared().unwrap();
        assert_eq!((shared.epoch(), shared.call()), (0, Call::GoOn));
        for call in [Call::Crowded, Call::Rest, Call::GoOn] {
            shared.set_call(call).unwrap();
            shared.set_epoch(3).unwrap();
            assert_eq!((shared.epoch(), shared.call()), (3, call));
        }
        drop((slot, place));
        let slot = board.claim(Who { life: 8, ..who }).unwrap();
        assert_eq!(slot.counts[Op::Find.index() * OUTCOMES + outcome(Some(areas::ErrorKind::NoSuchArea))], 1);
    }
}
