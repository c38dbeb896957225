//! Work on many bytes, shared out among threads piece by piece.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;

use areas::PageBuffer;

/// What a thread takes at a time: much for a thread, little for a user that watches the bar.
const PIECE: u64 = 8 << 20;
/// Fits into a processor's cache, and is many pages.
pub(super) const BUFFER: usize = 512 << 10;
/// Memory is slower than so many processors.
const MAX_THREADS: usize = 16;

/// Has `work` done for all pieces of `0..total`, the first ones first. Each thread has a buffer of
/// twice [`BUFFER`] bytes. `report` is called on this thread with how much is done, and whether to
/// go on is its answer. The first error ends it early.
///
/// # Errors
/// That of the work.
pub(super) fn each(
    total: u64,
    report: &mut dyn FnMut(u64) -> bool,
    work: impl Fn(Range<u64>, &mut [u8]) -> areas::Result<()> + Sync,
) -> areas::Result<()> {
    let pieces = total.div_ceil(PIECE);
    let threads = thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS);
    let threads = u64::try_from(threads).unwrap_or(1).min(pieces);
    let (next, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let one = |index: u64, buffer: &mut [u8]| {
        let start = index * PIECE;
        let range = start..total.min(start + PIECE);
        let len = range.end - range.start;
        work(range, buffer).map(|()| len)
    };
    thread::scope(|scope| {
        let (sender, done) = mpsc::channel();
        let mut started = 0;
        for _ in 0..threads {
            let (sender, next, stop, one) = (sender.clone(), &next, &stop, &one);
            let worker = move || {
                let mut buffer = PageBuffer::new(2 * BUFFER);
                while !stop.load(Ordering::Relaxed) {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= pieces || sender.send(one(index, &mut buffer)).is_err() {
                        break;
                    }
                }
            };
            // Where a limit of threads is reached, those that could be started do it all.
            if thread::Builder::new().name("copy".to_owned()).spawn_scoped(scope, worker).is_err() {
                break;
            }
            started += 1;
        }
        drop(sender);
        if started == 0 {
            let mut buffer = PageBuffer::new(2 * BUFFER);
            return (0..pieces).try_for_each(|index| one(index, &mut buffer).map(|_| ()));
        }
        let (mut so_far, mut outcome) = (0, Ok(()));
        for piece in done {
            let go_on = match piece {
                Ok(len) => {
                    so_far += len;
                    report(so_far)
                }
                Err(error) => {
                    outcome = outcome.and(Err(error));
                    false
                }
            };
            if !go_on {
                stop.store(true, Ordering::Relaxed);
            }
        }
        outcome
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use areas::{Error, ErrorKind};
    use std::sync::Mutex;

    #[test]
    fn every_byte_is_in_one_piece() {
        for total in [0, 1, PIECE - 1, PIECE, 3 * PIECE + 5] {
            let ranges = Mutex::new(Vec::new());
            each(total, &mut |_| true, |range, _| {
                ranges.lock().unwrap().push(range);
                Ok(())
            })
            .unwrap();
            let mut ranges = ranges.into_inner().unwrap();
            ranges.sort_by_key(|range| range.start);
            let mut end = 0;
            for range in ranges {
                assert!(range.start == end && range.end > end, "{range:?}");
                end = range.end;
            }
            assert_eq!(end, total);
        }
    }

    #[test]
    fn an_error_ends_it_and_so_does_the_callback() {
        let fails = |range: Range<u64>, _: &mut [u8]| match range.start {
            0 => Err(Error::new(ErrorKind::Io, "test")),
            _ => Ok(()),
        };
        let count = AtomicU64::new(0);
        each(1000 * PIECE, &mut |_| false, |_, _| {
            count.fetch_add(1, Ordering::Relaxed);
            thread::sleep(std::time::Duration::from_millis(2));
            Ok(())
        })
        .unwrap();
        assert!(count.into_inner() < 1000, "no more was wanted");
        assert_eq!(each(1000 * PIECE, &mut |_| true, fails).unwrap_err().kind(), ErrorKind::Io);
    }
}
