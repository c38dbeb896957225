//! Limits of a process: real ones, lowered in a process of an ordinary user, who cannot overrule
//! them.

use std::fs::File;
use std::sync::atomic::Ordering;

use areas::{ErrorKind, Lock, Protection, Provider, Request, System};
use areas_testing::sysctl;
use insta::assert_snapshot;
use rustix::process::{Resource, Rlimit, setrlimit};

use super::failure;
use super::support::child::{Stage, test};
use super::support::held::Held;

fn limit(of: Resource, value: u64) {
    setrlimit(of, Rlimit { current: Some(value), maximum: Some(value) }).unwrap();
}

#[test]
fn memlock() {
    let answer = test!("memlock").alone(Stage::ordinary(), || {
        limit(Resource::Memlock, 64 << 10);
        let before = Held::now();
        let builder = areas::builder(1 << 20);
        let answer = [
            failure(builder.clone().lock(Lock::Full).private()),
            failure(builder.clone().lock(Lock::Full).shared()),
            failure(builder.clone().lock(Lock::Lazy).shared()),
        ];
        before.assert_no_more("locks that were refused");
        // Below the limit it works, and what is locked counts.
        let small = areas::builder(32 << 10).lock(Lock::Full).shared().unwrap();
        let second = failure(areas::builder(64 << 10).lock(Lock::Lazy).private());
        assert!(second.contains("32 KiB") || second.contains("AMOUNT in use"), "{second}");
        drop(small);
        drop(areas::builder(64 << 10).lock(Lock::Full).shared().unwrap());
        limit(Resource::Memlock, 0);
        let none = failure(areas::builder(4096).lock(Lock::Lazy).shared());
        [answer.join("\n\n"), none].join("\n\n")
    });
    assert_snapshot!(answer, @r#"
    Limit: cannot lock an area of 1 MiB: mlock2(0xADDRESS, 1 MiB, MLOCK_ONFAULT): ENOMEM; RLIMIT_MEMLOCK is 64 KiB, AMOUNT in use, 1 MiB wanted
      help: raise it: `ulimit -l 1024`, or LimitMEMLOCK=1048576 in the systemd unit; or use no lock

    Limit: cannot lock an area of 1 MiB: mlock2(0xADDRESS, 1 MiB, MLOCK_ONFAULT): ENOMEM; RLIMIT_MEMLOCK is 64 KiB, AMOUNT in use, 1 MiB wanted
      help: raise it: `ulimit -l 1024`, or LimitMEMLOCK=1048576 in the systemd unit; or use no lock

    Limit: cannot lock an area of 1 MiB: mlock2(0xADDRESS, 1 MiB, MLOCK_ONFAULT): ENOMEM; RLIMIT_MEMLOCK is 64 KiB, AMOUNT in use, 1 MiB wanted
      help: raise it: `ulimit -l 1024`, or LimitMEMLOCK=1048576 in the systemd unit; or use no lock

    Limit: cannot lock an area of 4 KiB: mlock2(0xADDRESS, 4 KiB, MLOCK_ONFAULT): EPERM; RLIMIT_MEMLOCK is 0 B, AMOUNT in use, 4 KiB wanted
      help: raise it: `ulimit -l 4`, or LimitMEMLOCK=4096 in the systemd unit; or use no lock
    "#);
}

#[test]
fn a_clone_over_the_limit_is_refused_as_a_lock() {
    let answer = test!("a_clone_over_the_limit_is_refused_as_a_lock").alone(Stage::ordinary(), || {
        limit(Resource::Memlock, 96 << 10);
        let _area = areas::builder(64 << 10).lock(Lock::Full).name("pinned").shared().unwrap();
        failure(areas::registry::find("pinned").unwrap().open_read_only())
    });
    assert_snapshot!(answer, @r#"
    Limit: cannot lock a clone of area "pinned": mlock2(0xADDRESS, 64 KiB, MLOCK_ONFAULT): ENOMEM; RLIMIT_MEMLOCK is 96 KiB, AMOUNT in use, 64 KiB wanted
      help: raise it: `ulimit -l 128`, or LimitMEMLOCK=131072 in the systemd unit; or use no lock
    "#);
}

#[test]
fn address_space() {
    let answer = test!("address_space").alone(Stage::ordinary(), || {
        limit(Resource::As, (Held::now().addresses + (256 << 20)) as u64);
        let before = Held::now();
        let answer = [
            failure(areas::builder(1 << 30).private()),
            failure(areas::builder(1 << 30).shared()),
            failure(areas::builder(1).growable(1 << 30).shared()),
        ];
        before.assert_no_more("mappings that were refused");
        drop(areas::builder(1 << 20).shared().unwrap());
        // The limit is a fact of this run.
        answer.join("\n\n").lines().map(|line| hide(line, "RLIMIT_AS is ")).collect::<Vec<_>>().join("\n")
    });
    assert_snapshot!(answer, @"
    Limit: cannot map 1 GiB: mmap(NULL, 1 GiB, rw-, MAP_PRIVATE): ENOMEM; RLIMIT_AS is LIMIT, AMOUNT in use, 1 GiB wanted
      help: raise it: `ulimit -v KIB`, or LimitAS= in the systemd unit; or ask for less

    Limit: cannot map 1 GiB: mmap(NULL, 1 GiB, rw-, MAP_SHARED): ENOMEM; RLIMIT_AS is LIMIT, AMOUNT in use, 1 GiB wanted
      help: raise it: `ulimit -v KIB`, or LimitAS= in the systemd unit; or ask for less

    Limit: cannot map 4 KiB: mmap(NULL, 1 GiB, rw-, MAP_SHARED): ENOMEM; RLIMIT_AS is LIMIT, AMOUNT in use, 1 GiB wanted
      help: raise it: `ulimit -v KIB`, or LimitAS= in the systemd unit; or ask for less
    ");
}

/// Hides the amount after a word, up to the next comma.
fn hide(line: &str, word: &str) -> String {
    match line.split_once(word) {
        Some((head, tail)) => format!("{head}{word}LIMIT{}", &tail[tail.find(',').unwrap_or(tail.len())..]),
        None => line.to_owned(),
    }
}

#[test]
fn file_size_is_an_error_and_not_a_deadly_signal() {
    let answer = test!("file_size_is_an_error_and_not_a_deadly_signal").alone(Stage::ordinary(), || {
        limit(Resource::Fsize, 1 << 20);
        let before = Held::now();
        let growable = areas::builder(1).growable(1 << 30).shared().unwrap();
        let mut answer =
            vec![failure(areas::builder((1 << 20) + 1).shared()), failure(growable.grow(2 << 20))];
        growable.grow(1 << 20).unwrap();
        drop(growable);
        drop(areas::builder(1 << 20).shared().unwrap());
        // Private memory is not a file.
        drop(areas::builder(4 << 20).private().unwrap());
        before.assert_no_more("sizes that were refused");
        answer.push(failure(areas::builder(4096).name("joins").shared()));
        // And so does the table of this process's areas, whatever its size.
        limit(Resource::Fsize, 0);
        answer.push(failure(areas::builder(1).shared()));
        answer.push(failure(areas::builder(0).name("empty").shared_or_empty()));
        answer.join("\n\n")
    });
    assert_snapshot!(answer, @r#"
    Limit: cannot make a memory object of 1048577 B: RLIMIT_FSIZE is 1 MiB, 1048577 B wanted
      help: shared memory counts as a file: raise the limit (`ulimit -f unlimited`, LimitFSIZE=infinity)

    Limit: cannot grow an area of 4 KiB to 2 MiB: RLIMIT_FSIZE is 1 MiB, 2 MiB wanted
      help: shared memory counts as a file: raise the limit (`ulimit -f unlimited`, LimitFSIZE=infinity)

    Limit: cannot join the registry: RLIMIT_FSIZE is 1 MiB, SIZE KiB wanted
      help: shared memory counts as a file: raise the limit (`ulimit -f unlimited`, LimitFSIZE=infinity)

    Limit: cannot make a memory object of 1 B: RLIMIT_FSIZE is 0 B, 1 B wanted
      help: shared memory counts as a file: raise the limit (`ulimit -f unlimited`, LimitFSIZE=infinity)

    Limit: cannot join the registry: RLIMIT_FSIZE is 0 B, SIZE KiB wanted
      help: shared memory counts as a file: raise the limit (`ulimit -f unlimited`, LimitFSIZE=infinity)
    "#);
}

#[test]
fn filling_and_populating_obey_the_file_size_limit_too() {
    let answer =
        test!("filling_and_populating_obey_the_file_size_limit_too").alone(Stage::ordinary(), || {
            let text = areas::builder(4 << 20).shared().unwrap();
            let mut area = areas::builder(4 << 20).shared().unwrap();
            limit(Resource::Fsize, 1 << 20);
            // The bytes are there already, so that no size changes: populating is no write.
            area.populate().unwrap();
            area.write_at(3 << 20, b"a store is none either").unwrap();
            let answer = failure(area.fill_from(&text, &mut |_| {}));
            drop(area.freeze().unwrap());
            answer
        });
    assert_snapshot!(answer, @r#"
    Limit: cannot fill an area of 4 MiB from a file: RLIMIT_FSIZE is 1 MiB, 4 MiB wanted
      help: shared memory counts as a file: raise the limit (`ulimit -f unlimited`, LimitFSIZE=infinity)
    "#);
}

#[test]
fn open_files() {
    let answer = test!("open_files").alone(Stage::ordinary(), || {
        let area = areas::builder(4096).name("one").shared().unwrap();
        let source = areas::registry::find("one").unwrap();
        let mut growable = areas::builder(4096).growable(8192).shared().unwrap();
        limit(Resource::Nofile, 64);
        let hoard: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
        let mut answer = vec![
            failure(areas::builder(4096).shared()),
            failure(source.open()),
            failure(source.open_read_only()),
        ];
        let refused = growable.freeze().unwrap_err();
        answer.push(super::report(&refused.error));
        growable = refused.value;
        growable.store(0, 1_u8, Ordering::Relaxed).unwrap();
        growable.grow(8192).unwrap();
        // Nothing of what was there is lost, and once there is a descriptor again all is well.
        area.store(0, 1_u8, Ordering::Relaxed).unwrap();
        drop(areas::builder(4096).private().unwrap());
        drop(hoard);
        drop(source.open().unwrap());
        drop(growable.freeze().unwrap());
        answer.join("\n\n")
    });
    assert_snapshot!(answer, @r#"
    Limit: cannot make a memory object of 4 KiB: memfd_create(MFD_CLOEXEC | MFD_ALLOW_SEALING | …): EMFILE; RLIMIT_NOFILE is 64, all of them open
      help: raise the limit of descriptors (`ulimit -n 128`, LimitNOFILE=), or drop shared areas

    Limit: cannot open area ID "one": open(/proc/thread-self/fd/N, O_RDWR): EMFILE; RLIMIT_NOFILE is 64, all of them open
      help: raise the limit of descriptors (`ulimit -n 128`, LimitNOFILE=), or drop shared areas

    Limit: cannot open area ID "one": open(/proc/thread-self/fd/N, O_RDONLY): EMFILE; RLIMIT_NOFILE is 64, all of them open
      help: raise the limit of descriptors (`ulimit -n 128`, LimitNOFILE=), or drop shared areas

    Limit: cannot open an object for reading only: open("/proc/thread-self/fd/N", O_RDONLY): EMFILE; RLIMIT_NOFILE is 64, all of them open
      help: raise the limit of descriptors (`ulimit -n 128`, LimitNOFILE=), or drop shared areas
    "#);
}

/// Where there is room to grow is read from a file: an area that is made without a descriptor for
/// that does not settle it for those to come.
#[test]
fn room_to_grow_is_found_when_there_are_descriptors_again() {
    test!("room_to_grow_is_found_when_there_are_descriptors_again").alone(Stage::ordinary(), || {
        limit(Resource::Nofile, 64);
        let mut hoard: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
        // For the object, and for nothing else.
        drop(hoard.pop().unwrap());
        let squeezed = areas::builder(4096).resizable(4096).unwrap();
        assert!(File::open("/dev/null").is_err());
        drop(hoard);
        let mut areas: Vec<_> = (0..4).map(|_| areas::builder(4096).resizable(4096).unwrap()).collect();
        for area in &mut areas {
            let before = area.as_ptr();
            area.resize(64 << 20).unwrap();
            assert_eq!(area.as_ptr(), before);
        }
        drop(squeezed);
        String::new()
    });
}

#[test]
fn the_first_published_area_needs_several_descriptors() {
    let answer = test!("the_first_published_area_needs_several_descriptors").alone(Stage::ordinary(), || {
        limit(Resource::Nofile, 64);
        let mut hoard: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
        let mut kinds = Vec::new();
        // One descriptor more each time, until it can be: never anything but the limit, and nothing
        // is lost on the way.
        loop {
            match areas::builder(4096).name("first").shared() {
                Ok(area) => break drop(area),
                Err(error) => kinds.push(error.kind()),
            }
            drop(hoard.pop().unwrap());
        }
        assert!(kinds.iter().all(|kind| [ErrorKind::Limit, ErrorKind::Registry].contains(kind)), "{kinds:?}");
        assert!((2..12).contains(&kinds.len()), "{kinds:?}");
        String::new()
    });
    assert_eq!(answer, "");
}

#[test]
fn too_many_mappings() {
    let answer = test!("too_many_mappings").alone(Stage::ordinary(), || {
        let most = sysctl::number("vm/max_map_count");
        if most > 200_000 {
            super::support::skip("errors::limits::too_many_mappings", "vm.max_map_count is very large here");
            return String::new();
        }
        let mut all = Vec::with_capacity(most);
        // Neighbours of the same protection would be one mapping to the kernel.
        let protection = |i| if i % 2 == 0 { Protection::READ } else { Protection::READ_WRITE };
        let areas = loop {
            match areas::builder(4096).protection(protection(all.len())).private() {
                Ok(area) => all.push(area),
                Err(error) => break error,
            }
        };
        assert!(all.len() > most * 9 / 10);
        // It is the areas' limit, not the program's: there is memory, and there are threads.
        let pieces: Vec<Vec<u8>> = (0..64).map(|_| vec![1; 1 << 20]).collect();
        assert_eq!(std::thread::spawn(move || pieces.len()).join().unwrap(), 64);
        // Whoever maps for himself comes to the kernel's.
        let mut rest = Vec::with_capacity(most);
        let mappings = loop {
            match System::new().map(&Request::new(4096).protection(protection(rest.len()))) {
                Ok(mapping) => rest.push(mapping),
                Err(error) => break error,
            }
        };
        drop((all, rest));
        let used = |error: &areas::Error| -> usize {
            let facts = error.facts().unwrap();
            facts.split(", ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap()
        };
        let at_areas = used(&areas);
        assert!((most - most / 16..most - most / 16 + 100).contains(&at_areas), "{areas}");
        let facts = mappings.facts().unwrap();
        assert!(facts.split(" of ").next().unwrap().parse::<usize>().unwrap() > most - 100, "{mappings}");
        // The machine's limit, and what follows from it, are facts of this run.
        let numbers = [(most * 4, "FOUR TIMES"), (most, "MAX"), (most / 16, "LEFT")];
        let areas = numbers
            .iter()
            .fold(super::report(&areas), |text, (number, name)| text.replace(&number.to_string(), name));
        // Whether the last one was to be written depends on how many there were before.
        [areas, super::report(&mappings).replace("rw-, MAP", "r--, MAP")].join("\n\n")
    });
    if !answer.is_empty() {
        assert_snapshot!(answer, @r#"
        Limit: cannot make a private area of 4 KiB: vm.max_map_count is MAX, COUNT mappings in use, 1 wanted; LEFT are left to the program
          help: `sysctl vm.max_map_count=FOUR TIMES` as root; or make fewer and larger areas

        NoMemory: cannot map 4 KiB: mmap(NULL, 4 KiB, r--, MAP_PRIVATE): ENOMEM; COUNT mappings in use; vm.overcommit_memory is N, AMOUNT free
          help: ask for less, unmap something, or see `areas doctor` (vm.max_map_count, overcommit)
        "#);
    }
}
