//! Providers that are wrong on purpose, one mistake each: the suite names just that mistake.

use std::fs::File;
use std::mem::ManuallyDrop;
use std::os::fd::AsFd;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use areas::{
    Address, Backing, Error, ErrorKind, Extent, Mapping, Object, PageSize, Pages, Policy, Protection,
    Provider, Rejected, Request, Result, System,
};
use areas_conformance::{Report, Suite, check};

/// A provider made of two functions.
struct Made<M, U> {
    name: &'static str,
    map: M,
    unmap: U,
}

impl<M, U> std::fmt::Debug for Made<M, U> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl<M, U> Provider for Made<M, U>
where
    M: Fn(&Request<'_>) -> Result<Mapping> + Send + Sync,
    U: Fn(Mapping) -> Result<(), Rejected<Mapping>> + Send + Sync,
{
    fn map(&self, request: &Request<'_>) -> Result<Mapping> {
        (self.map)(request)
    }

    fn unmap(&self, mapping: Mapping) -> Result<(), Rejected<Mapping>> {
        (self.unmap)(mapping)
    }
}

const SYSTEM: System = System::new();

/// Asks the kernel for something else than what was asked.
fn asking(name: &'static str, other: impl Fn(Request<'_>) -> Request<'_> + Send + Sync) -> impl Provider {
    Made {
        name,
        map: move |request: &Request<'_>| SYSTEM.map(&other(request.clone())),
        unmap: Mapping::unmap,
    }
}

/// Unmaps in a way of its own.
fn unmapping(
    name: &'static str,
    unmap: impl Fn(Mapping) -> Result<(), Rejected<Mapping>> + Send + Sync,
) -> impl Provider {
    Made { name, map: |request: &Request<'_>| SYSTEM.map(request), unmap }
}

fn failed(report: &Report) -> Vec<&str> {
    report.failed().map(|finding| finding.name.as_str()).collect()
}

/// These checks fail, and no others. Gives the printed report.
#[track_caller]
fn fails(provider: &dyn Provider, names: &[&str]) -> String {
    let report = check(provider);
    assert_eq!(failed(&report), names, "{report}");
    report.to_string()
}

#[test]
fn more_than_was_asked_for() {
    let more = asking("more", |request| {
        let size = request.size();
        if size == 0 { request } else { request.resized(size.saturating_add(1)) }
    });
    let report = fails(&more, &["size", "shared", "threads"]);
    assert!(report.contains("asked for 1 B, got 2 B"), "{report}");
}

#[test]
fn less_than_was_asked_for() {
    let less = asking("less", |request| {
        let size = request.size();
        request.resized(size.div_ceil(2))
    });
    // Half of what is impossible is possible some time.
    let report = check(&less);
    assert!(failed(&report).starts_with(&["impossible-sizes", "size"]), "{report}");
    assert!(failed(&report).contains(&"threads"), "{report}");
}

#[test]
fn something_for_nothing() {
    let something = asking("something", |request| {
        let size = request.size().max(1);
        request.resized(size)
    });
    fails(&something, &["zero-size"]);
}

#[test]
fn errors_swallowed_by_giving_less() {
    let swallowing = Made {
        name: "swallowing",
        map: |request: &Request<'_>| {
            let least = |error: Error| match error.kind() {
                ErrorKind::NoMemory | ErrorKind::InvalidInput if request.size() > 1 << 30 => {
                    SYSTEM.map(&request.clone().resized(4096))
                }
                _ => Err(error),
            };
            SYSTEM.map(request).or_else(least)
        },
        unmap: Mapping::unmap,
    };
    let report = fails(&swallowing, &["impossible-sizes"]);
    assert!(report.contains("asked for usize::MAX, got 4096 B"), "{report}");
}

#[test]
fn placement_ignored() {
    let ignoring = asking("ignoring", |request| request.placed(Policy::Default));
    let report = fails(&ignoring, &["placement", "unknown-node"]);
    assert!(report.contains("the kernel has default"), "{report}");
}

#[test]
fn unknown_nodes_left_out_as_the_kernel_does() {
    let intersecting = asking("intersecting", |request| {
        let allowed = areas::allowed_nodes().unwrap();
        let policy = match request.placement().map(|placement| placement.policy()) {
            Some(Policy::Bind(nodes)) if !nodes.is_all() => Policy::Bind(nodes & allowed),
            Some(Policy::Interleave(nodes)) => Policy::Interleave(nodes & allowed),
            _ => return request,
        };
        request.placed(policy)
    });
    let report = fails(&intersecting, &["unknown-node"]);
    assert!(report.contains("got memory with the policy bind:"), "{report}");
}

#[test]
fn address_ignored() {
    let elsewhere = asking("elsewhere", |request| request.at(Address::Any));
    fails(&elsewhere, &["exact-address", "taken-address"]);
}

#[test]
fn reservation_ignored() {
    // A request of its own, without what it does not know.
    let forgetful = asking("forgetful", |request| match request.home() {
        Some(_) => Request::new(request.size()),
        None => request,
    });
    fails(&forgetful, &["reservation"]);
}

#[test]
fn alignment_ignored() {
    let unaligned = asking("unaligned", |request| request.aligned(1));
    // By chance it may be aligned; a bad alignment is not refused in any case.
    fails(&unaligned, &["alignment"]);
}

#[test]
fn touched_before_it_is_placed() {
    let touching = Made {
        name: "touching",
        map: |request: &Request<'_>| {
            let mut mapping = SYSTEM.map(request)?;
            if let Ok(bytes) = mapping.as_bytes_mut() {
                bytes.fill(1);
            }
            Ok(mapping)
        },
        unmap: Mapping::unmap,
    };
    let report = fails(&touching, &["untouched"]);
    assert!(report.contains("private memory, just mapped"), "{report}");
    Suite::new(&touching).may_touch(true).run().assert();
}

#[test]
fn base_pages_instead_of_huge_ones() {
    let base = asking("base", |request| request.pages(Pages::Base));
    let report = fails(&base, &["pool-pages", "page-fallback"]);
    assert!(report.contains("asked for pages of 2 MiB, got pages of 4 KiB; the kernel says 4 KiB"));
}

#[test]
fn read_only_whatever_is_asked() {
    let read_only = asking("read-only", |request| request.protection(Protection::READ));
    let report = check(&read_only);
    for name in ["bytes", "maps", "protection"] {
        assert!(failed(&report).contains(&name), "{report}");
    }
    assert!(report.to_string().contains("asked for rw-, got r--"), "{report}");
}

#[test]
fn private_memory_instead_of_an_object() {
    let private = asking("private", |request| {
        let size = request.size();
        request.backed_by(Backing::Private).resized(size)
    });
    let report = check(&private);
    assert!(failed(&report).starts_with(&["backing", "shared"]), "{report}");
}

#[test]
fn one_mapping_leaks_with_each() {
    let leaking = Made {
        name: "leaking",
        map: |request: &Request<'_>| {
            // That one was not asked for, and is not freed.
            let _leak = ManuallyDrop::new(SYSTEM.map(&Request::new(request.size()))?);
            SYSTEM.map(request)
        },
        unmap: Mapping::unmap,
    };
    let report = fails(&leaking, &["leaks"]);
    assert!(report.contains("more addresses after each of 200 rounds"), "{report}");
}

#[test]
fn one_descriptor_leaks_with_each() {
    let leaking = Made {
        name: "leaking",
        map: |request: &Request<'_>| {
            let _leak = ManuallyDrop::new(File::open("/proc/self/maps").ok());
            SYSTEM.map(request)
        },
        unmap: Mapping::unmap,
    };
    // The other checks need descriptors as well: not more than there are.
    let mut only = Suite::new(&leaking);
    for name in areas_conformance::names().filter(|&name| name != "leaks") {
        only = only.skip(name, "not about descriptors");
    }
    let report = only.run();
    assert_eq!(failed(&report), ["leaks"], "{report}");
    assert!(report.to_string().contains("more descriptors after each of 200 rounds"), "{report}");
}

#[test]
fn unmapping_does_nothing() {
    let leaking = unmapping("leaking", |mapping| {
        let _leak = ManuallyDrop::new(mapping);
        Ok(())
    });
    let report = fails(&leaking, &["unmap", "leaks", "foreign-unmap", "reservation"]);
    assert!(report.contains("is still mapped"), "{report}");
    // That it may keep some does not excuse keeping all.
    let report = Suite::new(&leaking).may_keep(true).run();
    assert_eq!(failed(&report), ["leaks"], "{report}");
}

#[test]
fn unmapping_keeps_for_ever() {
    let kept = Mutex::new(Vec::new());
    let hoarding = unmapping("hoarding", move |mapping| {
        kept.lock().unwrap().push(mapping);
        Ok(())
    });
    let report = Suite::new(&hoarding).may_keep(true).run();
    assert_eq!(failed(&report), ["leaks"], "{report}");
}

#[test]
fn unmapping_refuses_and_gives_something_else_back() {
    let confused = unmapping("confused", |mapping| {
        let error = Error::new(ErrorKind::Busy, "unmap");
        let value = SYSTEM.map(&Request::new(mapping.size())).unwrap();
        Err(Rejected { error, value })
    });
    let report = check(&confused);
    assert!(failed(&report).contains(&"foreign-unmap"), "{report}");
    assert!(failed(&report).contains(&"unmap"), "{report}");
}

#[test]
fn dropped_mappings_count_for_ever() {
    let (left, limit) = (AtomicUsize::new(0), 1000);
    let counting = Made {
        name: "counting",
        map: |request: &Request<'_>| {
            let mapping = SYSTEM.map(request)?;
            if left.fetch_add(1, Ordering::Relaxed) >= limit {
                left.fetch_sub(1, Ordering::Relaxed);
                return Err(Error::new(ErrorKind::Limit, "map").with_facts("too many"));
            }
            Ok(mapping)
        },
        unmap: |mapping: Mapping| {
            // No process says so when one is dropped: `attach` would have.
            left.fetch_sub(1, Ordering::Relaxed);
            mapping.unmap()
        },
    };
    // What other checks dropped counts, too.
    left.store(limit - 150, Ordering::Relaxed);
    let report = Suite::new(&counting).sizes([4096]).run();
    assert!(failed(&report).contains(&"drop"), "{report}");
    assert!(report.to_string().contains("that were dropped: cannot map: too many"), "{report}");
}

#[test]
fn threads_get_each_others_sizes() {
    let cursor = AtomicUsize::new(0);
    let shared = Made {
        name: "shared cursor",
        map: |request: &Request<'_>| {
            cursor.store(request.size(), Ordering::Relaxed);
            std::thread::sleep(Duration::from_micros(50));
            SYSTEM.map(&request.clone().resized(cursor.load(Ordering::Relaxed)))
        },
        unmap: Mapping::unmap,
    };
    let report = fails(&shared, &["threads"]);
    assert!(report.contains("while others asked"), "{report}");
}

#[test]
fn a_panic_is_a_finding() {
    let panicking = asking("panicking", |request| {
        assert!(request.page_request() == Pages::Base, "huge pages are too much");
        request
    });
    let report = fails(&panicking, &["pool-pages", "page-fallback"]);
    assert!(report.contains("it panicked: huge pages are too much"), "{report}");
}

#[test]
fn skipping_what_is_not_there_fails() {
    let report = Suite::new(&SYSTEM).skip("sise", "typing").run();
    assert_eq!(failed(&report), ["sise"], "{report}");
    assert_eq!(failed(&Suite::new(&SYSTEM).sizes([0]).run()), ["sizes"]);
}

#[test]
fn keeping_some_is_allowed_where_it_is_reported() {
    // One mapping a size is kept for the next plain request: as `Provider::unmap` suggests.
    let kept: Mutex<Vec<Mapping>> = Mutex::new(Vec::new());
    let caching = Made {
        name: "caching",
        map: |request: &Request<'_>| {
            let plain = request.home().is_none()
                && request.address() == Address::Any
                && request.alignment() == 1
                && request.placement().is_none()
                && request.page_request() == Pages::Base
                && request.wanted_protection() == Protection::READ_WRITE
                && matches!(request.backing(), Backing::Private);
            let mut kept = kept.lock().unwrap();
            if let Some(index) = kept.iter().position(|mapping| plain && mapping.size() == request.size()) {
                return Ok(kept.swap_remove(index));
            }
            drop(kept);
            SYSTEM.map(request)
        },
        unmap: |mapping: Mapping| {
            let mut kept = kept.lock().unwrap();
            let fits = mapping.page_size() == PageSize::base()
                && mapping.protection() == Protection::READ_WRITE
                && !mapping.is_shared()
                && kept.iter().all(|other| other.size() != mapping.size());
            if !fits {
                drop(kept);
                return mapping.unmap();
            }
            kept.push(mapping);
            Ok(())
        },
    };
    let report = Suite::new(&caching).may_keep(true).may_touch(true).run();
    report.assert();
    kept.lock().unwrap().clear();
    // Without a word, the suite finds what was kept.
    fails(&caching, &["reservation"]);
}

#[test]
fn another_object_of_the_same_size() {
    // An object of its own, which looks like the one that was asked for, and is none.
    let objects = Mutex::new(Vec::new());
    let other = Made {
        name: "other",
        map: |request: &Request<'_>| match request.backing() {
            Backing::Object(object) => {
                let own = Object::create("own", object.size(), Extent::Fixed, PageSize::base())?;
                let mapping = SYSTEM.map(&request.clone().backed_by(Backing::Object(&own)))?;
                objects.lock().unwrap().push(own);
                Ok(mapping)
            }
            _ => SYSTEM.map(request),
        },
        unmap: Mapping::unmap,
    };
    let report = fails(&other, &["backing", "shared"]);
    assert!(report.contains("asked for object ") && report.contains(", got object "), "{report}");
}

#[test]
fn a_file_for_an_object() {
    let file = asking("file", |request| match request.backing() {
        Backing::Object(object) => {
            let file = Backing::File { file: object.as_fd(), offset: 0, shared: true };
            request.backed_by(file)
        }
        _ => request,
    });
    let report = fails(&file, &["backing", "shared"]);
    assert!(report.contains("got a shared file from offset 0x0"), "{report}");
}
