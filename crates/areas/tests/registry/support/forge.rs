//! What a hostile process leaves behind its links: files that are no tables, and tables that lie.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, FromRawFd, IntoRawFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use areas_testing::{Process, descriptors};
use rustix::fs::{MemfdFlags, SealFlags, SeekFrom, fcntl_add_seals, ftruncate, memfd_create, seek};

use super::folder::start_time;
use super::raw::{self, Scratch};
use super::serve::{Failure, Holdings, number_of};

/// Where a table's header says who its owner is; a table of another owner is not believed.
mod header {
    pub(super) const VERSION: u64 = 8;
    pub(super) const PID: u64 = 16;
    pub(super) const START_TIME: u64 = 24;
    pub(super) const DEVICE: u64 = 32;
    pub(super) const INODE: u64 = 40;
    /// The word that says which part of the index is in use.
    pub(super) const INDEX: usize = 64;
    /// The word that says how many records there are.
    pub(super) const HIGH_WATER: usize = 72;
}

const SEALS: SealFlags =
    SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::FUTURE_WRITE).union(SealFlags::SEAL);

/// Keeps a file open; answers with its descriptor's number and its inode.
pub(crate) fn keep(holdings: &mut Holdings, file: File) -> io::Result<String> {
    let answer = format!("{} {}", number_of(&file), file.metadata()?.ino());
    holdings.files.push(file);
    Ok(answer)
}

fn noise(mut seed: u64) -> impl FnMut() -> u64 {
    move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    }
}

/// A memory object: `noise` or `zeros`, `sealed` as a table is or `unsealed`; or a file on a disk,
/// which no process can find by a name.
pub(crate) fn object(holdings: &mut Holdings, kind: &str, seals: &str, size: u64) -> Result<String, Failure> {
    let file = match kind {
        "file" => {
            let path = std::env::temp_dir().join(format!("areas-test-forged-{}", std::process::id()));
            let file = File::options().read(true).write(true).create_new(true).open(&path)?;
            fs::remove_file(&path)?;
            file
        }
        _ => File::from(memfd_create("forged", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?),
    };
    ftruncate(&file, size)?;
    if kind == "noise" {
        let mut next = noise(0x9e37_79b9_7f4a_7c15);
        // The header, the ids, the index and the first records: what a reader looks at.
        let bytes: Vec<u8> = (0..(6 << 20) / 8).flat_map(|_| next().to_le_bytes()).collect();
        file.write_all_at(&bytes, 0)?;
    }
    if seals == "sealed" {
        fcntl_add_seals(&file, SEALS)?;
    }
    Ok(keep(holdings, file)?)
}

/// How large tables are: as a real one, which goes at once.
pub(crate) fn table_size() -> Result<u64, Failure> {
    let _area = areas::builder(4096).name("measure").shared()?;
    Ok(fs::metadata(own_table()?)?.len())
}

/// Leaves links to objects as large as a table, one after the other, each of which is cut to
/// nothing and then sealed as a table is, some time after its link is there.
pub(crate) fn shrink_tables(folder: &str, count: u32) -> Result<String, Failure> {
    let size = table_size()?;
    let (pid, folder) = (std::process::id(), Path::new(folder));
    let start_time = start_time(pid);
    let mut next = noise(0x9e37_79b9_7f4a_7c15);
    for turn in 0..count {
        let file = File::from(memfd_create("forged", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?);
        ftruncate(&file, size)?;
        let name = format!("{}.{start_time}.{}", 3000 + turn % 1000, file.metadata()?.ino());
        let link = folder.join(name);
        std::os::unix::fs::symlink(format!("/proc/{pid}/fd/{}", number_of(&file)), &link)?;
        let moment = Instant::now() + Duration::from_nanos(next() % 60_000);
        while Instant::now() < moment {
            std::hint::spin_loop();
        }
        ftruncate(&file, 0)?;
        fcntl_add_seals(&file, SEALS)?;
        fs::remove_file(&link).or_else(|error| match error.kind() {
            // Whoever looked took it for a dead team's.
            io::ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        })?;
    }
    Ok(String::new())
}

/// Our table's descriptor, in `/proc`.
pub(crate) fn own_table() -> Result<PathBuf, Failure> {
    for one in descriptors::of(Process::Thread)? {
        if one.target.starts_with("/memfd:areas table") {
            return Ok(one.path);
        }
    }
    Err("this process has no table".to_owned().into())
}

/// A table of ours that says what another team's says: `sealed` as a table is, `unsealed`,
/// `version-N`: sealed, and of that format, or `scribbled`: sealed, and as long as we live we write
/// nonsense all over it.
pub(crate) fn copy(holdings: &mut Holdings, of: &str, how: &str) -> Result<String, Failure> {
    let original = File::open(of)?;
    let size = original.metadata()?.len();
    let file = File::from(memfd_create("forged", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?);
    ftruncate(&file, size)?;
    let mut at = 0;
    // Holes are left holes.
    while let Ok(start) = seek(&original, SeekFrom::Data(at)) {
        at = seek(&original, SeekFrom::Hole(start))?;
        let mut bytes = vec![0; usize::try_from(at - start).map_err(|error| error.to_string())?];
        original.read_exact_at(&mut bytes, start)?;
        file.write_all_at(&bytes, start)?;
    }
    let pid = std::process::id();
    let metadata = file.metadata()?;
    file.write_all_at(&pid.to_le_bytes(), header::PID)?;
    file.write_all_at(&start_time(pid).to_le_bytes(), header::START_TIME)?;
    file.write_all_at(&metadata.dev().to_le_bytes(), header::DEVICE)?;
    file.write_all_at(&metadata.ino().to_le_bytes(), header::INODE)?;
    if let Some(version) = how.strip_prefix("version-") {
        file.write_all_at(&version.parse::<u32>()?.to_le_bytes(), header::VERSION)?;
    }
    let bytes = usize::try_from(size).map_err(|error| error.to_string())?;
    let scratch = Scratch::new(&file, bytes)?;
    if how != "unsealed" {
        fcntl_add_seals(&file, SEALS)?;
    }
    if how == "scribbled" {
        std::thread::spawn(move || scribble(scratch));
    }
    Ok(keep(holdings, file)?)
}

/// Everything but who the owner is changes all the time.
fn scribble(table: Scratch) {
    let mut next = noise(88_172_645_463_325_252);
    let mut any = |below: usize| usize::try_from(next() % below as u64).unwrap_or(0);
    loop {
        for _ in 0..1000 {
            // The first records, half of the time, as readers look there first.
            let region = if any(2) == 0 { table.words() / 6 } else { table.words() };
            let index = 8 + any(region - 8);
            let word = any(usize::MAX) as u64;
            table.put(index, word);
        }
        // Sizes and sides of the index that make sense now and then, and all records.
        table.put(header::INDEX / 8, any(usize::MAX) as u64);
        table.put(header::INDEX / 8, (any(256) as u64) << 8 | (any(2) as u64) << 7 | (6 + any(12)) as u64);
        table.put(header::HIGH_WATER / 8, any(1 << 17) as u64);
    }
}

/// Puts another file under a descriptor that other code in this process counts on.
#[expect(unsafe_code, reason = "takes a descriptor away from its owner: that is the test")]
pub(crate) fn replace_descriptor(with: &File, target: i32) -> Result<(), Failure> {
    // SAFETY: the number is open, and what was behind it is never used again but by what must
    // notice: the library looks at its table's identity. The value is given up below, so that
    // nothing is closed twice.
    let mut owned = unsafe { OwnedFd::from_raw_fd(target) };
    let done = rustix::io::dup2(with.as_fd(), &mut owned);
    let _ = owned.into_raw_fd();
    Ok(done?)
}

/// A sealed copy of another team's table, all of whose records name a file of ours as their object:
/// truthfully, so that device, inode and number are those of what is open. It is whatever `path`
/// is, or a memory object: `memory:SIZE` with these seals. Seals of `low-ADDRESS` mean that the
/// records claim a page of physical memory there.
pub(crate) fn announce(
    holdings: &mut Holdings,
    of: &str,
    path: &str,
    seals: &str,
) -> Result<String, Failure> {
    let object = match path.strip_prefix("memory:") {
        Some(size) => {
            let file =
                File::from(memfd_create("announced", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?);
            ftruncate(&file, size.parse()?)?;
            let kinds = match seals {
                "fixed" | "leased" => SealFlags::SHRINK | SealFlags::GROW,
                _ => SealFlags::empty(),
            };
            fcntl_add_seals(&file, kinds)?;
            if seals == "leased" {
                // Only a process that has it open for reading gets one, and no other by a path.
                let again = File::open(format!("/proc/thread-self/fd/{}", number_of(&file)))?;
                raw::lease(&again)?;
                holdings.files.push(again);
            }
            file
        }
        None => {
            let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
            let folder = fs::metadata(path)?.is_dir();
            File::options().read(true).write(!folder).custom_flags(flags).open(path)?
        }
    };
    let metadata = object.metadata()?;
    let number = number_of(&object);
    holdings.files.push(object);
    let opened = copy(holdings, of, "unsealed")?;
    let table = holdings.files.last().ok_or("the copy".to_owned())?;
    let mut records = 0;
    let mut at = 0;
    while let Ok(start) = seek(table, SeekFrom::Data(at)) {
        at = seek(table, SeekFrom::Hole(start))?;
        let mut bytes = vec![0; usize::try_from(at - start).map_err(|error| error.to_string())?];
        table.read_exact_at(&mut bytes, start)?;
        for name in bytes.windows(NAME.len()).enumerate().filter(|(_, bytes)| *bytes == NAME) {
            let record = start + name.0 as u64 - record::NAME;
            table.write_all_at(&number.to_le_bytes(), record + record::DESCRIPTOR)?;
            table.write_all_at(&metadata.dev().to_le_bytes(), record + record::DEVICE)?;
            table.write_all_at(&metadata.ino().to_le_bytes(), record + record::INODE)?;
            if let Some(address) = seals.strip_prefix("low-") {
                table.write_all_at(&address.parse::<u64>()?.to_le_bytes(), record + record::MAX)?;
                table.write_all_at(&4097_u64.to_le_bytes(), record + record::EXACT)?;
                table.write_all_at(&[3], record + record::EXTENT)?;
            }
            records += 1;
        }
    }
    if records == 0 {
        return Err("no record was found in the table".to_owned().into());
    }
    fcntl_add_seals(table, SEALS)?;
    Ok(opened)
}

/// By which a record is known in a table's bytes.
const NAME: &[u8] = b"announced-";

/// Where a record has what, from its beginning on.
mod record {
    pub(super) const DESCRIPTOR: u64 = 12;
    pub(super) const DEVICE: u64 = 32;
    pub(super) const INODE: u64 = 40;
    pub(super) const MAX: u64 = 64;
    pub(super) const EXACT: u64 = 72;
    pub(super) const EXTENT: u64 = 81;
    pub(super) const NAME: u64 = 105;
}
