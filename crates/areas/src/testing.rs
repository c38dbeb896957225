//! What unit tests share. Those that want more than one node, swap, or a kernel without newer calls
//! run in guests, too (`cargo xtask test`):
// vm: --nodes "1:384 0:384" --swap 256 -- populate:: residency::
// vm: --kernel linux-image-cloud-amd64 -- populate:: residency::

/// Says aloud that something could not be tested here, on stderr and in the file that
/// `AREAS_SKIP_LOG` names, for `cargo xtask test` to count.
pub(crate) fn skipped(test: &str, why: &str) {
    use std::io::Write as _;
    let line = format!("SKIPPED: {test}: {why}\n");
    eprint!("{line}");
    if let Some(path) = std::env::var_os("AREAS_SKIP_LOG") {
        let log = std::fs::File::options().append(true).create(true).open(path);
        log.and_then(|mut log| log.write_all(line.as_bytes())).unwrap();
    }
}
