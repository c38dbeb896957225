//! Areas that others find: made and dropped, found and cloned. The peer is POSIX shared memory, and
//! what is built upon it.

use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;

use anyhow::{Context as _, Result};
use areas::registry;

use super::{bytes, python};
use crate::agent::Agent;
use crate::bench::{Bench, Contest, SHORT};
use crate::measure::Side;
use crate::peers::{Library, Work};

/// What it would cost if the library were free.
const FLOOR: &str = "the same calls in C";

/// Writes to each page, as the peers in C do.
pub(super) fn touch(start: *mut u8, size: usize) {
    for at in (0..size).step_by(4096) {
        // SAFETY: within the area, which is writable.
        let byte = unsafe { start.add(at) };
        // SAFETY: a writable byte of the area, to which no thread has a reference.
        unsafe { byte.write_volatile(1) };
    }
}

fn name(what: &str) -> String {
    format!("/areas-bench-{}-{what}", std::process::id())
}

/// Made, published or named, and dropped.
pub fn share(bench: &mut Bench) -> Result<()> {
    let posix = bench.library("posix").context("compiled by the same command")?;
    let raw = bench.library("raw").context("compiled by the same command")?;
    let floor = bench.library("floor").context("compiled by the same command")?;
    let boost = bench.library("boost");
    let mut python = python::start(bench)?;
    // Whoever has published once has joined the registry: that is done once.
    let _joined = areas::builder(4096).name("bench: joined").shared()?;
    for (size, touched, target) in
        [(64 << 10, false, Some(1.0)), (64 << 10, true, Some(1.0)), (1 << 20, true, Some(1.0))]
    {
        let ours = Side::each("areas", move || {
            let area = areas::builder(size).name("bench: shared").shared()?;
            if touched {
                touch(area.as_ptr(), size);
            }
            Ok(())
        });
        let work = Work::of_size(size).touching(touched);
        let shm = name("share");
        let mut contest = Contest::new(case(size, touched), SHORT, ours)
            .counted()
            .against(posix.side("POSIX shm", "peer_share", work.named(&shm))?, target)
            .against(floor.side(FLOOR, "peer_share", work)?, None)
            .against(raw.side("memfd (no name, not to be found)", "peer_memfd", work)?, None);
        if let Some(boost) = &boost {
            contest = contest
                .against(boost.side("Boost.Interprocess", "peer_share", work.named(&name("boost")))?, None);
        }
        let crate_name = name("crate");
        contest = contest.against(
            Side::each("shared_memory", move || {
                let memory = shared_memory::ShmemConf::new().os_id(&crate_name).size(size).create()?;
                if touched {
                    touch(memory.as_ptr(), size);
                }
                Ok(())
            }),
            None,
        );
        #[cfg(feature = "iceoryx2")]
        {
            contest = contest.against(iceoryx2::share(size, touched)?, None);
        }
        bench.contest(contest)?;
        if let Some(python) = &mut python {
            let ours = Side::each("areas", move || {
                let area = areas::builder(size).name("bench: shared").shared()?;
                if touched {
                    touch(area.as_ptr(), size);
                }
                Ok(())
            });
            let request = format!("share {{}} {} {size} {}", &name("python")[1..], u8::from(touched));
            bench.contest(
                Contest::new(case(size, touched), SHORT, ours).against(python.side("Python", &request), None),
            )?;
        }
    }
    if !cfg!(feature = "iceoryx2") {
        bench.skip("iceoryx2", "short runs are built without it");
    }
    Ok(())
}

fn case(size: usize, touched: bool) -> String {
    format!("{}{}", bytes(size), if touched { ", each page touched" } else { "" })
}

/// A POSIX object that is there until this goes.
struct Held<'a>(&'a Library, Work);

impl<'a> Held<'a> {
    fn new(posix: &'a Library, work: Work) -> Result<Self> {
        posix.call("peer_hold", work)?;
        Ok(Held(posix, work))
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let _ = self.0.call("peer_unlink", self.1);
    }
}

/// A process that hands its object out over a socket, as one thread of this program could not be
/// distinguished from it. It ends as its socket does.
struct Handing {
    socket: Option<UnixStream>,
    child: libc::pid_t,
}

impl Handing {
    fn start(bench: &Bench, size: usize) -> Result<Self> {
        let (socket, hands) = UnixStream::pair()?;
        let (raw, fd) = (bench.peers.library("raw").map_err(anyhow::Error::msg)?, hands.as_raw_fd());
        // SAFETY: the child calls one function that waits in read and sendmsg, and ends.
        match unsafe { libc::fork() } {
            -1 => Err(std::io::Error::last_os_error().into()),
            0 => {
                drop(socket);
                let _ = raw.call("peer_hand", Work { descriptor: fd, ..Work::of_size(size) });
                // SAFETY: ends this process without its parent's handlers and buffers.
                unsafe { libc::_exit(0) }
            }
            child => Ok(Handing { socket: Some(socket), child }),
        }
    }

    fn descriptor(&self) -> i32 {
        self.socket.as_ref().map_or(-1, |socket| socket.as_raw_fd())
    }
}

impl Drop for Handing {
    fn drop(&mut self) {
        drop(self.socket.take());
        // SAFETY: a child of ours.
        unsafe { libc::waitpid(self.child, std::ptr::null_mut(), 0) };
    }
}

/// What is found is of so many bytes.
const FOUND: usize = 4096;

/// Found, cloned, and the clone dropped, by another process than the one that made it.
pub fn find(bench: &mut Bench) -> Result<()> {
    let posix = bench.library("posix").context("compiled by the same command")?;
    let floor = bench.library("floor").context("compiled by the same command")?;
    let mut python = python::start(bench)?;
    let mut holder = Agent::start(None)?;
    holder.ask("hold bench-held 1")?;
    let shm = name("held");
    let work = Work::of_size(FOUND).named(&shm);
    let _held = Held::new(&posix, work)?;
    find_to_write(bench, &shm, work)?;
    if let Some(python) = &mut python {
        let request = format!("find {{}} {}", &shm[1..]);
        bench.contest(
            Contest::new("to be written: through pidfd_getfd", SHORT, writable())
                .against(python.side("Python", &request), None),
        )?;
    }
    let read_only = Side::each("find, open_read_only, drop", || {
        drop(registry::find("bench-held-0")?.open_read_only()?);
        Ok(())
    });
    bench.contest(
        Contest::new("to be read: through pidfd_getfd, opened again", SHORT, read_only)
            .counted()
            .against(posix.side("POSIX shm", "peer_find_read_only", work)?, 1.3)
            .against(floor.side(FLOOR, "peer_clone_to_read", Work::of_size(FOUND))?, None),
    )?;
    find_through_proc(bench, work)?;
    if !cfg!(feature = "iceoryx2") {
        bench.skip("iceoryx2", "short runs are built without it");
    }
    Ok(())
}

fn writable() -> Side<'static> {
    Side::each("find, open, drop", || {
        drop(registry::find("bench-held-0")?.open()?);
        Ok(())
    })
}

fn find_to_write(bench: &mut Bench, shm: &str, work: Work) -> Result<()> {
    let posix = bench.library("posix").context("compiled by the same command")?;
    let raw = bench.library("raw").context("compiled by the same command")?;
    let floor = bench.library("floor").context("compiled by the same command")?;
    let boost = bench.library("boost");
    let handing = Handing::start(bench, FOUND)?;
    let handed = Work { descriptor: handing.descriptor(), ..Work::of_size(FOUND) };
    let mut contest = Contest::new("to be written: through pidfd_getfd", SHORT, writable())
        .counted()
        .against(posix.side("POSIX shm", "peer_find", work)?, 1.0)
        .against(floor.side(FLOOR, "peer_clone", Work::of_size(FOUND))?, None)
        .against(raw.side("memfd, passed by hand over a socket", "peer_handed", handed)?, None);
    if let Some(boost) = &boost {
        contest = contest.against(boost.side("Boost.Interprocess", "peer_find", work)?, None);
    }
    let id = shm.to_owned();
    contest = contest.against(
        Side::each("shared_memory", move || {
            shared_memory::ShmemConf::new().os_id(&id).open()?;
            Ok(())
        }),
        None,
    );
    let path = format!("/dev/shm{shm}");
    contest = contest.against(
        Side::each("memmap2, of a file in /dev/shm", move || {
            let file = std::fs::File::options().read(true).write(true).open(&path)?;
            // SAFETY: its bytes are not looked at.
            unsafe { memmap2::MmapMut::map_mut(&file) }?;
            Ok(())
        }),
        None,
    );
    #[cfg(feature = "iceoryx2")]
    {
        contest = contest.against(iceoryx2::find(shm)?, None);
    }
    bench.contest(contest)
}

/// In a sandbox that forbids `pidfd_getfd`. What the filter itself costs at each call is ours, too.
fn find_through_proc(bench: &mut Bench, work: Work) -> Result<()> {
    let posix = bench.library("posix").context("compiled by the same command")?;
    let floor = bench.library("floor").context("compiled by the same command")?;
    let mut without = Agent::start(None)?;
    without.ask("forbid-pidfd")?;
    for (case, request, peer, writing) in [
        ("to be written: through /proc", "time clone bench-held-0 {}", "peer_find", true),
        ("to be read: through /proc", "time clone-read-only bench-held-0 {}", "peer_find_read_only", false),
    ] {
        let same = Work::of_size(FOUND).touching(writing);
        bench.contest(
            Contest::new(case, SHORT, without.side("find, open, drop", request))
                .against(posix.side("POSIX shm", peer, work)?, 2.0)
                .against(
                    floor.side("the same calls in C, without a filter", "peer_clone_by_path", same)?,
                    None,
                ),
        )?;
    }
    Ok(())
}

#[cfg(feature = "iceoryx2")]
mod iceoryx2 {
    //! The shared memory below iceoryx2. Its services do more, and are no peer of ours.

    use anyhow::{Result, anyhow};
    use iceoryx2_bb_container::semantic_string::SemanticString as _;
    use iceoryx2_bb_loggers as _;
    use iceoryx2_bb_posix::access_mode::AccessMode;
    use iceoryx2_bb_posix::creation_mode::CreationMode;
    use iceoryx2_bb_posix::permission::Permission;
    use iceoryx2_bb_posix::shared_memory::SharedMemoryBuilder;
    use iceoryx2_bb_system_types::file_name::FileName;

    use super::{name, touch};
    use crate::measure::Side;

    const WHO: &str = "iceoryx2";

    pub(super) fn share<'a>(size: usize, touched: bool) -> Result<Side<'a>> {
        let name = FileName::new(&name("iceoryx2").as_bytes()[1..]).map_err(|error| anyhow!("{error:?}"))?;
        Ok(Side::each(WHO, move || {
            let mut memory = SharedMemoryBuilder::new(&name)
                .is_memory_locked(false)
                .creation_mode(CreationMode::CreateExclusive)
                .size(size)
                .permission(Permission::OWNER_ALL)
                .zero_memory(false)
                .create()
                .map_err(|error| anyhow!("{error:?}"))?;
            if touched {
                touch(memory.as_mut_slice().as_mut_ptr(), size);
            }
            Ok(())
        }))
    }

    pub(super) fn find<'a>(shm: &str) -> Result<Side<'a>> {
        let name = FileName::new(&shm.as_bytes()[1..]).map_err(|error| anyhow!("{error:?}"))?;
        Ok(Side::each(WHO, move || {
            SharedMemoryBuilder::new(&name)
                .open_existing(AccessMode::ReadWrite)
                .map_err(|error| anyhow!("{error:?}"))?;
            Ok(())
        }))
    }
}
