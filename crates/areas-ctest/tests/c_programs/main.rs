//! The C interfaces, tried by C and C++ programs: each is compiled without a warning, linked to the
//! library in several ways, and run; headers stand alone; what the library exports, and how its
//! structures lie in memory, is what was written down. Each is a test by name:
//! `cargo nextest run -p areas-ctest --ignore-default-filter be/fork.c`.
//!
//! | file | what |
//! |---|---|
//! | `programs.rs` | the programs of `areas-capi/tests/c/FOLDER/`, each in three ways or four |
//! | `readme.rs` | the programs of the README |
//! | `recipes.rs` | areas as the memory of io_uring, OpenCL, UCX |
//! | `headers.rs` | every header alone |
//! | `abi.rs` | symbols and layouts against `areas-capi/abi/` |

mod abi;
mod headers;
mod programs;
mod readme;
mod recipes;

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::LazyLock;
use std::time::Duration;

use anyhow::{Result, bail};
use areas_ctest::toolchain::{Toolchain, watch};
use areas_testing::skipped;
use libtest_mimic::{Arguments, Failed, Trial};

/// Built, or found, by the first test of the process.
static TOOLCHAIN: LazyLock<Result<Toolchain, String>> =
    LazyLock::new(|| Toolchain::new().map_err(|why| format!("{why:#}")));

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
    run: Box<dyn Fn(&Toolchain) -> Outcome + Send>,
}

impl Test {
    fn new(name: String, run: impl Fn(&Toolchain) -> Outcome + Send + 'static) -> Self {
        Self { name, run: Box::new(run) }
    }

    fn into_trial(self) -> Trial {
        let Self { name, run } = self;
        Trial::test(name.clone(), move || {
            let toolchain = TOOLCHAIN.as_ref().map_err(Failed::from)?;
            match run(toolchain) {
                Outcome::Passed => Ok(()),
                // Counted as passed here: who counts takes what is in the log of skips off again.
                Outcome::Skipped(why) => {
                    skipped(&name, &why);
                    Ok(())
                }
                Outcome::Failed(why) => Err(why.into()),
            }
        })
    }
}

/// What a program returns that cannot run here.
const SKIPPED: i32 = 77;

/// Runs what starts `program`, with a registry of its own, and says how it ended.
fn ended(mut command: Command, program: &Path, limit: Duration) -> Result<Outcome> {
    let registry = program.with_extension("registry");
    let _ = fs::remove_dir_all(&registry);
    let (status, said) = watch(command.env("AREAS_DIR", &registry), &program.with_extension("log"), limit)?;
    let _ = fs::remove_dir_all(&registry);
    let Some(status) = status else { bail!("it was still running after {limit:?}\n{said}") };
    Ok(match status.code() {
        Some(0) => Outcome::Passed,
        Some(SKIPPED) => match said.lines().rev().find_map(|line| line.strip_prefix("SKIPPED: ")) {
            Some(why) => Outcome::Skipped(why.to_owned()),
            None => Outcome::Failed("it skipped and did not say why".to_owned()),
        },
        _ => Outcome::Failed(format!("{said}({status})")),
    })
}

fn tests() -> Result<Vec<Test>> {
    let mut tests = headers::tests()?;
    tests.extend(abi::tests());
    tests.extend(programs::tests()?);
    tests.extend(readme::tests()?);
    tests.extend(recipes::tests());
    Ok(tests)
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::from_args();
    let trials = tests()?.into_iter().map(Test::into_trial).collect();
    Ok(libtest_mimic::run(&arguments, trials).exit_code())
}
