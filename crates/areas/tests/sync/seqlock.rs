//! Sequence locks.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU32};
use std::time::{Duration, Instant};

use areas::sync::SeqLock;
use areas::{Area, ErrorKind, Shared};
use areas_testing::stat;
use rustix::process::{Pid, Signal, kill_process};

use super::area;
use super::support::child::{Stage, reply, test};

const LEN: usize = 1000;

#[test]
fn what_is_read_is_all_of_one_write() {
    /// At least; more until each reader has had its turn, on a machine that is busy.
    const WRITES: u32 = 20_000;
    let area = area();
    let over = AtomicBool::new(false);
    let read = [const { AtomicU32::new(0) }; 3];
    std::thread::scope(|scope| {
        let readers: Vec<_> = read
            .iter()
            .map(|read| {
                let (area, over) = (&area, &over);
                scope.spawn(move || {
                    let (mut bytes, mut last) = ([0_u8; LEN], 0);
                    while !over.load(Relaxed) {
                        let version = match SeqLock::new(area, 8, LEN).unwrap().read(&mut bytes) {
                            Ok(version) => version,
                            Err(error) if error.kind() == ErrorKind::Busy => continue,
                            Err(error) => panic!("{error}"),
                        };
                        assert!(bytes.iter().all(|&byte| byte == bytes[0]), "torn");
                        assert_eq!(u64::from(bytes[0]), version % 256);
                        assert!(version >= last, "it went back");
                        last = version;
                        read.fetch_add(1, Relaxed);
                    }
                })
            })
            .collect();
        let mut writer = SeqLock::new(&area, 8, LEN).unwrap().writer().unwrap();
        let end = Instant::now() + Duration::from_secs(60);
        for count in 1_u32.. {
            writer.write(&[count.to_le_bytes()[0]; LEN]).unwrap();
            if count % 64 == 0 {
                let all = || read.iter().all(|read| read.load(Relaxed) > 0);
                // One that ended has found something wrong.
                let wrong = readers.iter().any(|reader| reader.is_finished());
                if wrong || (count >= WRITES && (all() || Instant::now() > end)) {
                    break;
                }
                std::thread::yield_now();
            }
        }
        over.store(true, Relaxed);
        readers.into_iter().for_each(|reader| reader.join().unwrap());
        assert!(read.iter().all(|read| read.load(Relaxed) > 0), "{read:?}");
    });
}

#[test]
fn one_writer_at_a_time() {
    let area = area();
    let value = SeqLock::new(&area, 0, 8).unwrap();
    assert!(!value.has_living_writer().unwrap());
    let writer = value.writer().unwrap();
    assert!(value.has_living_writer().unwrap());
    assert_eq!(value.writer().unwrap_err().kind(), ErrorKind::Busy);
    // It goes to another thread, and ends there.
    std::thread::scope(|scope| {
        let mut writer = writer;
        scope.spawn(move || writer.write(b"elsewher").unwrap());
    });
    assert!(!value.has_living_writer().unwrap());
    assert_eq!(value.writer().unwrap().write(b"short").unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(value.read(&mut [0; 7]).unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn where_it_cannot_be() {
    let area = area();
    let refused = |offset, len| SeqLock::new(&area, offset, len).unwrap_err().kind();
    assert_eq!(refused(4, 8), ErrorKind::InvalidInput);
    assert_eq!(
        [refused(4096 - 16, 1), refused(0, 4096 - 15), refused(8, usize::MAX)],
        [ErrorKind::OutOfRange; 3]
    );
    SeqLock::new(&area, 0, 4096 - 16).unwrap();
    SeqLock::new(&area, 4096 - 16, 0).unwrap();
}

/// Writes forever.
fn writes(area: &Area<Shared>) -> ! {
    let mut writer = SeqLock::new(area, 0, LEN).unwrap().writer().unwrap();
    reply("writes");
    let mut count = 0_u8;
    loop {
        count = count.wrapping_add(1);
        writer.write(&[count; LEN]).unwrap();
    }
}

#[test]
fn a_writer_that_dies_in_the_middle_is_reported() {
    let me = test!("a_writer_that_dies_in_the_middle_is_reported");
    let answer = match me.role().as_deref() {
        Some("writer") => writes(&super::found("written")),
        _ => me.alone(Stage::default(), || {
            let area = areas::builder(4096).name("written").shared().unwrap();
            let reader = areas::registry::find("written").unwrap().open_read_only().unwrap();
            let value = SeqLock::new(&reader, 0, LEN).unwrap();
            let (mut bytes, mut interrupted, mut whole) = ([0; LEN], 0, 0);
            for _ in 0..400 {
                let mut writer = me.spawn(&mut Stage::here(), "writer");
                assert_eq!(writer.hear(), "writes");
                writer.kill();
                let torn = match value.read(&mut bytes) {
                    Ok(_) => false,
                    Err(error) if error.kind() == ErrorKind::OwnerDied => true,
                    Err(error) => panic!("{error}"),
                };
                assert!(torn || bytes.iter().all(|&byte| byte == bytes[0]));
                let own = SeqLock::new(&area, 0, LEN).unwrap();
                let mut writer = own.writer().unwrap();
                assert_eq!(writer.is_interrupted(), torn);
                writer.write(&[200; LEN]).unwrap();
                value.read(&mut bytes).unwrap();
                assert_eq!(bytes, [200; LEN]);
                (interrupted, whole) = (interrupted + usize::from(torn), whole + usize::from(!torn));
                if interrupted > 2 && whole > 2 {
                    return "done".to_owned();
                }
            }
            format!("{interrupted} interrupted, {whole} whole")
        }),
    };
    assert_eq!(answer, "done");
}

#[test]
fn a_writer_that_is_stopped_in_the_middle_is_busy() {
    let me = test!("a_writer_that_is_stopped_in_the_middle_is_busy");
    let answer = match me.role().as_deref() {
        Some("writer") => writes(&super::found("written")),
        _ => me.alone(Stage::default(), || {
            let area = areas::builder(4096).name("written").shared().unwrap();
            let value = SeqLock::new(&area, 0, LEN).unwrap();
            let mut writer = me.spawn(&mut Stage::here(), "writer");
            assert_eq!(writer.hear(), "writes");
            let pid = Pid::from_raw(i32::try_from(writer.pid()).unwrap()).unwrap();
            for _ in 0..10_000 {
                kill_process(pid, Signal::STOP).unwrap();
                while !stat::of(writer.pid()).unwrap().is_stopped() {}
                let error = value.read(&mut [0; LEN]).err();
                let unfinished = area.load::<u64>(0, Relaxed).unwrap() % 2 == 1;
                assert_eq!(error.map(|error| error.kind()), unfinished.then_some(ErrorKind::Busy));
                if unfinished {
                    return "done".to_owned();
                }
                kill_process(pid, Signal::CONT).unwrap();
            }
            "it was never stopped in the middle".to_owned()
        }),
    };
    assert_eq!(answer, "done");
}
