//! The programs of the README: no longer than 15 lines, compiled without a warning, and run, as
//! those of `tests/c/` are.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use anyhow::{Context as _, Result, bail, ensure};

use areas_ctest::readme::{self, Program};
use areas_ctest::toolchain::{Linked, Toolchain, started};

use super::{Outcome, Test};

/// How long a program may be that shows an interface.
const LINES: usize = 15;
/// How long the two sides of one may take to find each other.
const LIMIT: Duration = Duration::from_secs(60);

/// One test a program and way of linking.
pub(super) fn tests() -> Result<Vec<Test>> {
    let mut tests = Vec::new();
    for program in readme::programs()? {
        let program = std::sync::Arc::new(program);
        for (linked, way) in [(Linked::Sanitized, "sanitized"), (Linked::Shared, "shared")] {
            let program = program.clone();
            let name = format!("README, {} {way}", program.interface);
            tests.push(Test::new(name, move |toolchain| Outcome::of(one(toolchain, &program, linked, way))));
        }
    }
    Ok(tests)
}

fn one(toolchain: &Toolchain, program: &Program, linked: Linked, way: &str) -> Result<()> {
    let lines = program.text.lines().count();
    ensure!(lines <= LINES, "the program has {lines} lines, more than {LINES}");
    let folder = toolchain.work.join(format!("readme-{way}"));
    fs::create_dir_all(&folder)?;
    let file = toolchain.program(&program.write(&folder)?, program.interface, linked, way)?;
    let registry = file.with_extension("registry");
    let _ = fs::remove_dir_all(&registry);
    let command = || {
        let mut command = started(&file);
        command.env("AREAS_DIR", &registry);
        command
    };
    let done = if program.interface == "be" { two_sides(command) } else { alone(&mut command()) };
    let _ = fs::remove_dir_all(&registry);
    done
}

/// It ends well.
fn alone(command: &mut Command) -> Result<()> {
    let output = command.stdin(Stdio::null()).output().context("cannot run it")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{said}({})", output.status);
    Ok(())
}

/// The first one makes the area, and holds it until a key is pressed; the next one reads what
/// it wrote.
fn two_sides(command: impl Fn() -> Command) -> Result<()> {
    let start = Instant::now();
    while start.elapsed() < LIMIT {
        let mut holder =
            command().stdin(Stdio::piped()).stdout(Stdio::null()).spawn().context("cannot run it")?;
        let expected = format!("from team {}\n", holder.id());
        // Both may have been about to make it: who finds the other's reads it and ends, and it is
        // tried again.
        while holder.try_wait()?.is_none() && start.elapsed() < LIMIT {
            let output = command().stdin(Stdio::null()).output().context("cannot run it")?;
            ensure!(
                output.status.success(),
                "{}({})",
                String::from_utf8_lossy(&output.stderr),
                output.status
            );
            if String::from_utf8_lossy(&output.stdout) == expected {
                drop(holder.stdin.take());
                let ended = holder.wait()?;
                ensure!(ended.success(), "the holder ended with {ended}");
                return Ok(());
            }
            thread::sleep(Duration::from_millis(10));
        }
        drop(holder.stdin.take());
        ensure!(holder.wait()?.success(), "the holder failed");
    }
    bail!("no process read what the holder wrote within {LIMIT:?}")
}
