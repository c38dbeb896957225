//! Limits on machines of which everything may be changed: `cargo xtask test` boots them (`cargo
//! xtask vm`); elsewhere each test says that it was skipped.
//!
//! The tests of `tests/limits` run here again, so that control groups of both versions have been
//! tried wherever the checks run.
//!
//! | boot | what |
//! |---|---|
//! | Linux 6.12 | control groups of version 2, with `memory.high`; strict accounting; settings of transparent huge pages |
//! | Linux 6.1 | control groups of version 1 |
// vm: --nodes "2:768" -- at_once:: hugetlb:: memory:: overcommit:: settings:: transparent::
// vm: --nodes "2:768" --kernel linux-image-cloud-amd64 -- version_one::

#[path = "../limits/at_once.rs"]
mod at_once;
#[path = "../limits/group.rs"]
mod group;
#[path = "../limits/hugetlb.rs"]
mod hugetlb;
#[path = "../limits/memory.rs"]
mod memory;
mod overcommit;
mod settings;
#[expect(dead_code, reason = "the tests of areas, providers and errors use the rest")]
#[path = "../area_support/mod.rs"]
mod support;
#[path = "../limits/transparent.rs"]
mod transparent;
mod version_one;

const MIB: usize = 1 << 20;

/// The first line of every test that changes the machine: goes on in a guest, and says aloud
/// elsewhere that it does not.
fn in_guest(test: support::child::Test) -> bool {
    let guest = std::env::var_os("AREAS_GUEST").is_some();
    if !guest {
        support::skip(test.name(), "it wants a machine that is its own: `cargo xtask test` boots one");
    }
    guest
}

/// A setting of the machine for the time of a test.
struct Setting {
    file: String,
    before: String,
}

impl Setting {
    fn new(file: &str, value: &str) -> Self {
        let text = std::fs::read_to_string(file).unwrap();
        // `always [madvise] never`, or the value alone.
        let before = text
            .split_once('[')
            .and_then(|(_, rest)| rest.split_once(']'))
            .map_or(text.trim(), |(word, _)| word);
        let setting = Setting { file: file.to_owned(), before: before.to_owned() };
        std::fs::write(file, value).unwrap_or_else(|error| panic!("{file}: {error}"));
        setting
    }
}

impl Drop for Setting {
    fn drop(&mut self) {
        std::fs::write(&self.file, &self.before).unwrap();
    }
}
