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

use std::process::ExitCode;
use std::sync::LazyLock;

use anyhow::Result;
use areas_ctest::toolchain::Toolchain;
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
