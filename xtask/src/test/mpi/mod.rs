//! Areas under MPI: `areas-spread` on two "hosts", which are namespaces of this machine, and
//! windows of MPI over areas, in C and in Python. Open MPI from Debian, over TCP alone.
//!
//! | file | what |
//! |---|---|
//! | `built.rs` | the programs, built as their users build them |
//! | `hosts.rs` | two hosts: network, pid, uts, ipc and mount namespaces, an AREAS_DIR each, and the agent that `mpirun` starts ranks with |
//! | `job.rs` | one run of `mpirun`: its output, its ranks, its end |
//! | `spread.rs` | what `areas-spread` promises |
//! | `deaths.rs` | ranks, daemons and `mpirun` killed, at any moment |
//! | `windows.rs` | MPI_Win_create over areas |
//! | `measure.rs` | how fast it is, which no test looks at |
//! | `hooks.c`, `spoil.c` | programs for tests alone: Open MPI's memory hooks; bytes that change on the way, a file that cannot be read |

mod built;
mod deaths;
mod hosts;
mod job;
mod measure;
mod spread;
mod windows;

use anyhow::Result;

use super::counts::Counts;
use super::{Done, Run};
use crate::process;
use built::Built;
pub(crate) use measure::{Measured, measure};

/// How a test ended that did not fail.
enum Ended {
    Well,
    Skipped(String),
}

/// One thing to try.
struct Test {
    name: &'static str,
    run: fn(&Built) -> Result<Ended>,
}

/// What there has to be.
pub(super) const PROGRAMS: [&str; 6] = ["mpirun", "mpicc", "make", "pkg-config", "ip", "nsenter"];

/// The step: one test after the other, as most measure the machine's memory.
pub(super) fn run(run: &Run) -> Result<Done> {
    let all = spread::TESTS.iter().chain(&deaths::TESTS).chain(&windows::TESTS);
    let tests: Vec<&Test> = all.filter(|test| chosen(run, test.name)).collect();
    if tests.is_empty() {
        return Ok(Done::skipped("no test of MPI has such a name"));
    }
    if let Some(why) = lacking() {
        for test in &tests {
            skip(run, test.name, &why)?;
        }
        return Ok(Done::skipped(&why));
    }
    let built = Built::build()?;
    let mut counts = Counts::default();
    let mut failed = Vec::new();
    for test in tests {
        match (test.run)(&built) {
            Ok(Ended::Well) => {
                eprintln!("mpi: {} ... ok", test.name);
                counts.passed += 1;
            }
            Ok(Ended::Skipped(why)) => {
                skip(run, test.name, &why)?;
                // Counted as passed here: the end of the run takes what is in the log off again.
                counts.passed += 1;
            }
            Err(why) => {
                eprintln!("mpi: {} ... FAILED\n{why:#}", test.name);
                counts.failed += 1;
                failed.push(test.name);
            }
        }
    }
    Ok(if failed.is_empty() { Done::counted(counts) } else { Done::failed(counts, failed.join(", ")) })
}

fn chosen(run: &Run, name: &str) -> bool {
    run.options.filter.is_empty() || run.options.filter.iter().any(|part| name.contains(part))
}

fn skip(run: &Run, test: &str, why: &str) -> Result<()> {
    eprintln!("mpi: SKIPPED: {test}: {why}");
    run.skips.note(&format!("mpi {test}"), why)
}

/// What keeps every test from running here.
fn lacking() -> Option<String> {
    let missing: Vec<&str> = PROGRAMS.into_iter().filter(|name| process::which(name).is_none()).collect();
    if !missing.is_empty() {
        return Some(format!("{} not here, and not to be installed", missing.join(", ")));
    }
    let header = std::path::Path::new("/usr/include/xxhash.h");
    (!header.exists()).then(|| "xxhash.h is not here (Debian: libxxhash-dev)".to_owned())
}
