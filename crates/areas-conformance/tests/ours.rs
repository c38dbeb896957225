//! Our own providers and layers, alone and one over another: all of them conform.

use std::sync::LazyLock;

use areas::provider::{Fixed, Guarded, Limited, Or, Storage, Striped};
use areas::{Mapping, Node, NodeSet, Placed, Placement, Policy, Provider, Request, Result, System};
use areas_conformance::{Outcome, Report, Suite, check};

const SYSTEM: System = System::new();

/// Fails with the list if a check failed, or if more was left out than is named.
#[track_caller]
fn conforms(report: &Report, left_out: &[&str]) {
    report.assert();
    let skipped: Vec<_> = report
        .findings()
        .iter()
        .filter(|finding| matches!(finding.outcome, Outcome::Skipped(_)))
        .map(|finding| finding.name.as_str())
        .collect();
    assert_eq!(skipped, left_out, "{report}");
}

/// The first node that there is.
fn node() -> Node {
    areas::allowed_nodes().unwrap().first().unwrap()
}

#[test]
fn the_kernel() {
    let report = check(&SYSTEM);
    conforms(&report, &[]);
    // And it does what it may refuse: a conforming provider that refuses all is not ours.
    for (name, seen) in [
        ("exact-address", "it is there"),
        ("reservation", "it is there"),
        ("protection", "r--, rw-, ---, r-x given"),
        ("backing", "private, inherited, object, file, private file given"),
    ] {
        let finding = report.findings().iter().find(|finding| finding.name == name).unwrap();
        let Outcome::Passed(reported) = &finding.outcome else { panic!("{finding:?}") };
        // Another test's thread may have taken that address.
        assert!(
            reported.contains(seen) || name == "exact-address" && reported.contains("EEXIST"),
            "{finding:?}"
        );
    }
}

#[test]
fn by_reference() {
    let dynamic: &dyn Provider = &SYSTEM;
    conforms(&check(&dynamic), &[]);
    conforms(&check(&&&dynamic), &[]);
}

#[test]
fn placed() {
    static INTERLEAVED: Placed<System> = System::new().placed(Policy::Interleave(NodeSet::ALL));
    conforms(&check(&INTERLEAVED), &[]);
    let bound = SYSTEM.placed(Policy::Bind(NodeSet::single(node()))).home(node());
    conforms(&check(&bound), &[]);
}

#[test]
fn or() {
    static EITHER: Or<System, System> = Or::new(System::new(), System::new());
    conforms(&check(&EITHER), &[]);
    // The first one always fails: everything comes from the second.
    let nowhere = (NodeSet::ALL - areas::allowed_nodes().unwrap()).last().unwrap();
    let fallback = SYSTEM.placed(Policy::Bind(NodeSet::single(nowhere))).or(SYSTEM);
    conforms(&check(&fallback), &[]);
}

#[test]
fn limited() {
    static BOUNDED: LazyLock<Limited<System>> = LazyLock::new(|| System::new().limited(64 << 20));
    conforms(&check(&*BOUNDED), &[]);
    assert_eq!(BOUNDED.used(), 0);
    // Just enough for what the suite maps at once.
    let sizes = [1, 4096, 4097];
    let page = areas::PageSize::base().bytes();
    let tight = SYSTEM.limited(8 * page);
    conforms(&Suite::new(&tight).sizes(sizes).run(), &[]);
    assert_eq!(tight.used(), 0);
}

#[test]
fn counted() {
    let counted = SYSTEM.counted();
    conforms(&check(&counted), &[]);
    let reported = counted.statistics();
    assert_eq!((reported.mapped, reported.maps), (0, reported.unmaps), "{reported:?}");
    assert!(reported.peak > 0 && reported.maps > 0 && reported.failures > 0, "{reported:?}");
}

#[test]
fn striped() {
    static STRIPED: Striped<System> = Striped::new(System::new(), NodeSet::ALL, 3);
    conforms(&check(&STRIPED), &[]);
}

#[test]
fn spilled() {
    conforms(&check(&SYSTEM.spilled([node()])), &[]);
}

#[test]
fn split() {
    conforms(&check(&SYSTEM.split([(node(), 1), (node(), 2)])), &[]);
    conforms(&check(&SYSTEM.limited(64 << 20).split([(node(), 1)]).guarded(1)), &[]);
}

/// Memory that another process gives: all but what would change it.
#[test]
fn fixed() {
    let whole = SYSTEM.map(&Request::new(64 << 20)).unwrap();
    let fixed = Fixed::of(whole).unwrap();
    conforms(&check(&fixed), &["shared"]);
    assert_eq!((fixed.free(), fixed.largest()), (64 << 20, 64 << 20));
    let counted = fixed.counted();
    conforms(&Suite::new(&counted).sizes([1, 4097, 100_000]).run(), &["shared"]);
    let reported = counted.statistics();
    assert_eq!((reported.mapped, reported.maps), (0, reported.unmaps), "{reported:?}");
    // A process's own slice: its pages are there already.
    let slice: &'static mut [u8] = Box::leak(vec![0xa5; 16 << 20].into_boxed_slice());
    let borrowed = Fixed::borrowed(slice).unwrap();
    conforms(&Suite::new(&borrowed).may_touch(true).run(), &["shared", "untouched"]);
    let all = borrowed.size();
    assert_eq!((borrowed.free(), borrowed.largest()), (all, all));
}

/// A file, and a private copy of one: of what it stores.
#[test]
fn storage() {
    let path = std::env::temp_dir().join(format!("areas-conformance-{}", std::process::id()));
    let open =
        || std::fs::File::options().read(true).write(true).create(true).truncate(false).open(&path).unwrap();
    open().set_len(64 << 20).unwrap();
    let storage = Storage::of(open()).unwrap();
    std::fs::remove_file(&path).unwrap();
    let suite = Suite::new(&storage).stored(true);
    conforms(&suite.run(), &["shared", "untouched"]);
    assert_eq!((storage.free(), storage.largest()), (64 << 20, 64 << 20));
    let guarded = (&storage).counted().guarded(1).limited(64 << 20);
    conforms(&Suite::new(&guarded).stored(true).run(), &["shared", "untouched"]);
    assert_eq!(storage.free(), 64 << 20);
}

#[test]
fn guarded() {
    static GUARDED: Guarded<System> = Guarded::new(System::new(), 1);
    conforms(&check(&GUARDED), &[]);
    conforms(&check(&SYSTEM.guarded(0)), &[]);
}

#[test]
fn one_over_another() {
    let placement = Placement::new(Policy::Bind(NodeSet::single(node())));
    conforms(&check(&SYSTEM.placed(placement.policy()).guarded(1).limited(64 << 20)), &[]);
    conforms(&check(&SYSTEM.limited(64 << 20).striped(NodeSet::ALL, 2).guarded(2)), &[]);
    conforms(&check(&SYSTEM.guarded(1).spilled([node()]).or(SYSTEM.limited(64 << 20))), &[]);
    conforms(&check(&SYSTEM.counted().guarded(1).counted()), &[]);
    let boxed: &dyn Provider = &SYSTEM.guarded(1);
    conforms(&check(&boxed.or(SYSTEM).placed(placement).limited(64 << 20)), &[]);
}

/// The example of the design: what arrives is filled.
#[derive(Debug)]
struct Shark {
    linux: System,
    bite: u8,
}

impl Provider for Shark {
    fn map(&self, request: &Request<'_>) -> Result<Mapping> {
        let mut mapping = self.linux.map(request)?;
        mapping.as_bytes_mut()?.fill(self.bite);
        Ok(mapping)
    }
}

#[test]
fn a_custom_one_with_its_options() {
    let shark = Shark { linux: SYSTEM, bite: 0x5a };
    let run = Suite::new(&shark).may_touch(true).run();
    // Sharing is refused, by itself, and reported so.
    conforms(&run, &["shared", "untouched"]);
    let run = Suite::new(&shark).may_touch(true).skip("shared", "it bites").run();
    conforms(&run, &["shared", "untouched"]);
    assert!(run.to_string().contains("- shared            skipped: it bites"), "{run}");
}
