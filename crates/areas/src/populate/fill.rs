//! Filling an area from a file: as populating, but the pages come with their contents.
//!
//! Each piece is read into a small buffer, which stays in the processor's cache, and written to the
//! object. Compared with populating and then reading into the mapping, which is what comes to mind,
//! no page is zeroed only to be overwritten: that way takes 1.5 times as long for a file in the
//! page cache. Where the policy lies on the object, writing obeys it.

use std::os::fd::BorrowedFd;
use std::sync::{Mutex, PoisonError};

use super::collapse::Collapse;
use super::watch::Watch;
use super::workers::Workers;
use super::{CHUNK, Chunks, Job, Populated, Progress, Way, admission, piece};
use crate::buffer::PageBuffer;
use crate::error::{Error, ErrorKind, Result, remedy};
use crate::page::PageSize;
use crate::protection::Protection;
use crate::size::Bytes;
use crate::sys;

/// Bytes that are read and written in one call.
const BUFFER: usize = 1 << 20;

/// Fills the first `job.len` bytes of an area with those of a file.
///
/// `progress` is called on this thread, now and then, and at the end.
///
/// # Errors
/// As populating; [`ErrorKind::Io`] if the file cannot be read, or has fewer bytes;
/// [`ErrorKind::Limit`] over `RLIMIT_FSIZE`.
pub(crate) fn run(
    job: &Job<'_>,
    file: BorrowedFd<'_>,
    size: usize,
    progress: &mut dyn FnMut(Progress),
) -> Result<Populated> {
    check(job, size)?;
    let placement = super::placement(job);
    let watch = match job.object {
        Some(object) if object.physical().is_some() => Watch::none(),
        _ => admission::admit(job, placement)?,
    };
    let parts = super::blocks_to_collapse(job);
    // Collapsed first, and then written: what was written would be moved and copied.
    let collapse = match Way::of(job) {
        Ok(way) if !parts.is_empty() => Some(Collapse::new(job, way, placement)),
        _ => None,
    };
    let before = if collapse.is_some() { parts.start } else { 0 };
    let chunks = Chunks { total: job.len, step: CHUNK, before };
    let workers = Workers::of(placement)?;
    // One for each thread that is at work.
    let buffers: Mutex<Vec<PageBuffer>> = Mutex::default();
    let spare = || buffers.lock().unwrap_or_else(PoisonError::into_inner);
    let mut done = 0;
    let fill = |index| {
        let range = chunks.at(index);
        let popped = spare().pop();
        let mut buffer = popped.unwrap_or_else(|| PageBuffer::new(BUFFER.min(job.len)));
        let mut at = range.start;
        while at < range.end {
            let end = match &collapse {
                Some(_) => piece(&range, at, watch.step(), &parts),
                None => range.end.min(at + BUFFER),
            };
            let _piece = watch.take(job, end - at)?;
            if let Some(collapse) = &collapse {
                collapse.collapse_range(at.max(parts.start)..end.min(parts.end))?;
            }
            while at < end {
                let part = &mut buffer[..BUFFER.min(end - at)];
                read(job, file, at, part)?;
                write(job, size, at, part)?;
                at += part.len();
            }
        }
        spare().push(buffer);
        Ok(())
    };
    let threads = workers.for_each_chunk(chunks.count(), &fill, &mut |index| {
        done += chunks.at(index).len();
        if done < job.len {
            progress(Progress { done, total: job.len });
        }
    })?;
    progress(Progress { done: job.len, total: job.len });
    let (collapsed_bytes, refused) = collapse.map_or((0, None), Collapse::outcome);
    Ok(Populated { threads, collapsed_bytes, refused })
}

/// Whether all of it can be written at all.
fn check(job: &Job<'_>, size: usize) -> Result<()> {
    job.mapping.check(0, job.len, size)?;
    // Written through the descriptor, which may be allowed more than the mapping.
    let protection = job.mapping.protection();
    if !protection.contains(Protection::WRITE) {
        return Err(Error::new(ErrorKind::ReadOnly, format!("fill {} from a file", job.whose))
            .with_facts(format!("its protection is {protection}")));
    }
    // Writing beyond the limit is a deadly signal, even where the object has the bytes already.
    let limit = sys::limits::limit(sys::limits::Limit::FileSize);
    if job.object.is_some() && limit.is_some_and(|limit| job.len as u64 > limit) {
        let error = Error::new(ErrorKind::Limit, format!("fill {} from a file", job.whose));
        return Err(remedy::file_size(error, job.len as u64));
    }
    Ok(())
}

fn read(job: &Job<'_>, file: BorrowedFd<'_>, at: usize, part: &mut [u8]) -> Result<()> {
    let got = sys::file::read_at(file, part, at as u64).map_err(|errno| {
        Error::new(ErrorKind::Io, format!("fill {} from a file", job.whose))
            .with_system_call(format!("pread({}, {at})", Bytes::from(part.len())), errno)
    })?;
    if got < part.len() {
        return Err(Error::new(ErrorKind::Io, format!("fill {} from a file", job.whose))
            .with_facts(format!("the file ended after {} of {} bytes", at + got, job.len))
            .with_remedy("make the area as large as the file is; is another process changing it?"));
    }
    Ok(())
}

fn write(job: &Job<'_>, size: usize, at: usize, part: &[u8]) -> Result<()> {
    match job.object {
        // The hugetlb pages were taken when they were mapped, and cannot be written by a call;
        // physical memory is in no page cache.
        Some(object) if job.mapping.page_size() == PageSize::base() && object.physical().is_none() => {
            let written =
                object.own_fd().and_then(|fd| sys::file::write_at(fd, part, object.offset() + at as u64));
            written.map_err(|errno| {
                let call = format!("pwrite({}, {at})", Bytes::from(part.len()));
                match errno {
                    sys::Errno::NOSPC | sys::Errno::NOMEM => {
                        super::no_memory(job, &(at..at + part.len())).with_system_call(call, errno)
                    }
                    sys::Errno::PERM => Error::new(ErrorKind::Frozen, format!("fill {}", job.whose))
                        .with_system_call(call, errno)
                        .with_facts("it is sealed: no process can write it any more"),
                    sys::Errno::BADF => Error::new(ErrorKind::ReadOnly, format!("fill {}", job.whose))
                        .with_system_call(call, errno),
                    _ => Error::new(ErrorKind::System, format!("fill {}", job.whose))
                        .with_system_call(call, errno),
                }
            })
        }
        _ => job.mapping.write(at, part, size),
    }
}
