//! The programs of `tests/c/`: each is a test, in three ways; those of `cut/` in a fourth, too. It
//! ends with 0 if all is well, with 77 and a line `SKIPPED: WHY` where it cannot run here.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};

use areas_ctest::folders::{capi, files_below};
use areas_ctest::toolchain::{CUT, Linked, Toolchain, interfaces, started};
use areas_guest::programs::which;

use super::{Outcome, Test, ended};

/// For one program; a sanitizer or valgrind makes it many times slower, and so does a busy machine.
const LIMIT: Duration = Duration::from_secs(240);
/// What valgrind is to return when it found something.
const VALGRIND_FOUND: i32 = 99;
/// A program that valgrind cannot run says so, and why, in a line of its own that begins with this.
const NOT_UNDER_VALGRIND: &str = " * Not under valgrind:";

/// The way in which a program is run.
#[derive(Clone, Copy, Debug)]
enum Way {
    Sanitized,
    Shared,
    /// Linked with nothing more than the library, and started with what interposes munmap.
    Preloaded,
    Valgrind,
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::Sanitized => "sanitized",
            Self::Shared => "shared",
            Self::Preloaded => "preloaded",
            Self::Valgrind => "valgrind",
        }
    }
}

/// One test a program and way.
pub(super) fn tests() -> Result<Vec<Test>> {
    let mut tests = Vec::new();
    for interface in interfaces() {
        for source in files_below(capi().join("tests/c").join(interface), &["c", "cpp"])? {
            let text =
                fs::read_to_string(&source).with_context(|| format!("cannot read {}", source.display()))?;
            let under_valgrind = !text.lines().any(|line| line.starts_with(NOT_UNDER_VALGRIND));
            for way in [Way::Sanitized, Way::Shared, Way::Preloaded, Way::Valgrind] {
                let tried = match way {
                    Way::Sanitized | Way::Shared => true,
                    Way::Preloaded => interface == CUT,
                    Way::Valgrind => under_valgrind,
                };
                if !tried {
                    continue;
                }
                let file = source.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let name = format!("{interface}/{file} {}", way.name());
                let source = source.clone();
                tests.push(Test::new(name, move |toolchain| {
                    one(toolchain, &source, interface, way).unwrap_or_else(|why| Outcome::of(Err(why)))
                }));
            }
        }
    }
    Ok(tests)
}

/// Compiles a program and runs it, with a registry of its own.
fn one(toolchain: &Toolchain, source: &Path, interface: &str, way: Way) -> Result<Outcome> {
    if matches!(way, Way::Valgrind) && which("valgrind").is_none() {
        return Ok(Outcome::Skipped("valgrind is not here (Debian: valgrind)".into()));
    }
    let linked = match way {
        Way::Sanitized => Linked::Sanitized,
        Way::Shared | Way::Valgrind => Linked::Shared,
        Way::Preloaded => Linked::Preloaded,
    };
    // Each way has a program of its own, so that none runs a file that another writes.
    let program = toolchain.program(source, interface, linked, way.name())?;
    let mut command = match way {
        Way::Valgrind => {
            let mut command = started(Path::new("valgrind"));
            // Leaks are the sanitizer's business. Here a forked child would look for them where its
            // parent had memory that a child does not get: version 3.19 takes a fault for each word
            // of it, which lasts for minutes, and may die of one.
            command.args([
                "--quiet",
                "--trace-children=yes",
                "--leak-check=no",
                "--fair-sched=yes",
                "--vgdb=no",
            ]);
            command.arg(format!("--error-exitcode={VALGRIND_FOUND}")).arg(&program);
            command
        }
        Way::Sanitized | Way::Shared => started(&program),
        Way::Preloaded => {
            let mut command = started(&program);
            command.env("LD_PRELOAD", &toolchain.cut);
            command
        }
    };
    command
        .current_dir(&toolchain.work)
        // For programs that load it once more.
        .env("AREAS_LIBRARY", &toolchain.shared)
        .env("ASAN_OPTIONS", "abort_on_error=0:detect_leaks=1:allocator_may_return_null=1")
        .env("UBSAN_OPTIONS", "print_stacktrace=1")
        .env("RUST_BACKTRACE", "1");
    ended(command, &program, LIMIT)
}
