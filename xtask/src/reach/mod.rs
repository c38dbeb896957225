//! `cargo xtask reach`: areas with engines that reach other machines, built and measured. No step
//! of `cargo xtask test` does that: Zenoh takes minutes to build, and figures want a machine that
//! does nothing else.
//!
//! | file | what |
//! |---|---|
//! | `table.rs` | Flight, MPI and Zenoh in one run, and the table that docs/reach.md has |

mod table;

use std::fs;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::{Args, Subcommand};

use crate::process;

/// Areas with engines that other machines are reached by, and that take too long to build for every
/// run of the tests.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    #[command(subcommand)]
    engine: Engine,
}

#[derive(Clone, Debug, Subcommand)]
enum Engine {
    /// Zenoh: areas as the memory of messages; what is copied, how fast, and what is left when both
    /// sides are killed
    Zenoh {
        /// Only tests whose name contains one of these
        #[arg(value_name = "FILTER")]
        filter: Vec<String>,
    },
    /// Flight, MPI and Zenoh, all in one run, beside what a socket takes: the table of
    /// docs/reach.md
    Table(table::Options),
}

/// Building takes a quarter of an hour on two cores, the tests a minute.
const LIMIT: Duration = Duration::from_secs(3_600);

/// The command.
pub(crate) fn main(options: &Options) -> ExitCode {
    let done = match &options.engine {
        Engine::Zenoh { filter } => zenoh(filter).map(|report| print!("{report}")),
        Engine::Table(options) => table::run(options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask reach: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Builds Zenoh and runs its tests. What they measured, and what was skipped.
fn zenoh(filter: &[String]) -> Result<String> {
    // Apart from the workspace's: another lock file.
    let folder = process::target_folder().join("reach/zenoh");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let (report, skips) = (folder.join("report.md"), folder.join("skipped"));
    for file in [&report, &skips] {
        fs::write(file, "").with_context(|| format!("cannot write {}", file.display()))?;
    }
    let mut command = process::cargo(["test", "--release", "--locked"]);
    command.current_dir(process::workspace().join("crates/areas-zenoh")).env("CARGO_TARGET_DIR", &folder);
    // They look at what the whole machine has: one at a time.
    command.args(["--", "--test-threads", "1"]).args(filter);
    command.env("AREAS_ZENOH_REPORT", &report).env("AREAS_SKIP_LOG", &skips);
    eprintln!("$ {}", process::shown(&command));
    eprintln!("(the first time it builds Zenoh: some ten minutes on two cores)");
    let ran = process::tee(&mut command, Some(LIMIT))?;
    ensure!(!ran.timed_out, "it was still running after {LIMIT:?}");
    ensure!(ran.status.success(), "the tests of areas-zenoh failed ({})", ran.status);
    Ok(fs::read_to_string(&report)? + &fs::read_to_string(&skips)?)
}
