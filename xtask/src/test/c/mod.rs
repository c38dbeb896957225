//! The C interfaces, tried by C and C++ programs: each is compiled without a warning, linked to the
//! library in two ways, and run; headers stand alone; what the library exports, and how its
//! structures lie in memory, is what was written down.
//!
//! | file | what |
//! |---|---|
//! | `toolchain.rs` | how things are compiled and linked |
//! | `programs.rs` | the programs of `tests/c/FOLDER/`, run in parallel, each in three ways |
//! | `readme.rs` | the programs of the README |
//! | `recipes.rs` | areas as the memory of io_uring, OpenCL, UCX |
//! | `headers.rs` | every header alone |
//! | `abi.rs` | symbols and layouts against `abi/` |

mod abi;
mod headers;
mod programs;
mod readme;
pub(super) mod recipes;
mod toolchain;

use std::fs;
use std::path::PathBuf;
use std::thread;

use anyhow::{Context as _, Result};

use super::counts::Counts;
use super::{Done, Run};
use crate::process;
use toolchain::Toolchain;

/// How one test went.
enum Outcome {
    Passed,
    Skipped(String),
    Failed(String),
}

impl Outcome {
    /// From something that fails with a reason.
    fn of(result: Result<()>) -> Self {
        match result {
            Ok(()) => Self::Passed,
            Err(why) => Self::Failed(format!("{why:#}")),
        }
    }
}

/// One thing to try, by name.
struct Test {
    name: String,
    run: Box<dyn Fn(&Toolchain) -> Outcome + Send + Sync>,
}

impl Test {
    fn new(name: String, run: impl Fn(&Toolchain) -> Outcome + Send + Sync + 'static) -> Self {
        Self { name, run: Box::new(run) }
    }
}

/// The step.
pub(super) fn run(run: &Run) -> Result<Done> {
    let toolchain = Toolchain::build(run)?;
    let mut tests = headers::tests(&toolchain)?;
    tests.extend(abi::tests(&toolchain)?);
    tests.extend(programs::tests(&toolchain)?);
    tests.extend(readme::tests()?);
    tests.extend(recipes::tests());
    tests.retain(|test| {
        run.options.filter.is_empty() || run.options.filter.iter().any(|part| test.name.contains(part))
    });
    let outcomes = in_parallel(&tests, &toolchain);
    let mut counts = Counts::default();
    let mut failed = Vec::new();
    for (test, outcome) in tests.iter().zip(outcomes) {
        match outcome {
            Outcome::Passed => counts.passed += 1,
            Outcome::Skipped(why) => {
                // Counted as passed here: the end of the run takes what is in the log off again.
                counts.passed += 1;
                run.skips.note(&test.name, &why)?;
            }
            Outcome::Failed(_) => {
                counts.failed += 1;
                failed.push(test.name.as_str());
            }
        }
    }
    if failed.is_empty() {
        return Ok(Done::counted(counts));
    }
    Ok(Done::failed(counts, failed.join(", ")))
}

/// Runs all of them, as many at a time as there are processors, and says how each went.
fn in_parallel(tests: &[Test], toolchain: &Toolchain) -> Vec<Outcome> {
    process::at_once(tests, thread::available_parallelism().map_or(1, usize::from), |_, test| {
        let outcome = (test.run)(toolchain);
        match &outcome {
            Outcome::Passed => eprintln!("c: {} ... ok", test.name),
            Outcome::Skipped(why) => eprintln!("c: {} ... SKIPPED: {why}", test.name),
            Outcome::Failed(why) => eprintln!("c: {} ... FAILED\n{why}", test.name),
        }
        outcome
    })
}

/// The folder of the C crate.
fn crate_folder() -> PathBuf {
    process::workspace().join("crates/areas-capi")
}

/// The files below `folder` whose names end so, sorted; none where there is no such folder.
fn files_below(folder: PathBuf, extensions: &[&str]) -> Result<Vec<PathBuf>> {
    let (mut waiting, mut found) = (vec![folder], Vec::new());
    while let Some(folder) = waiting.pop() {
        if !folder.exists() {
            continue;
        }
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|is| extensions.iter().any(|&one| is == one)) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}
