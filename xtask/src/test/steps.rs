//! What each step of `cargo xtask test` does. The order is in `mod.rs`; the guests have a file of
//! their own.

use std::env;
use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use areas_ctest::toolchain;
use serde_json::Value;

use super::counts::Counts;
use super::native::native_dependencies;
use super::{Done, Run, Verdict, set_up};
use crate::api::Compared;
use crate::{metadata, process, selection, storm};

/// The command's tests that start containers.
const CONTAINERS: &str = "containers";
/// The tests of `areas-ctest`.
const C_PROGRAMS: &str = "c_programs";
/// For each of the fuzz targets.
const FUZZ_SECONDS: u32 = 5;
/// For an example, or the tour: they are to be read while they run.
const PROGRAM_LIMIT: Duration = Duration::from_secs(180);

/// For a storm: its minute, and what it takes to kill all and to look at what remains on a slow
/// machine.
const STORM_LIMIT: Duration = Duration::from_secs(900);

pub(super) fn format(run: &Run) -> Result<Done> {
    run.command(&mut process::cargo(["fmt", "--all", "--", "--check"]))?;
    Ok(Done::default())
}

pub(super) fn clippy(run: &Run) -> Result<Done> {
    let args = ["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];
    run.command(&mut process::cargo(args))?;
    Ok(Done::default())
}

pub(super) fn docs(run: &Run) -> Result<Done> {
    let flags = env::var("RUSTDOCFLAGS").unwrap_or_default() + " -D warnings";
    run.command(
        process::cargo(["doc", "--workspace", "--no-deps", "--locked"])
            .env("RUSTDOCFLAGS", flags.trim_start()),
    )?;
    Ok(Done::default())
}

/// The library depends on nothing in C.
pub(super) fn pure_rust(_: &Run) -> Result<Done> {
    let found = native_dependencies(&metadata::of_workspace()?, "areas")?;
    ensure!(found.is_empty(), "the library is to depend on nothing in C, but: {}", found.join("; "));
    Ok(Done::default())
}

/// Unit and integration tests of the whole workspace, those for guests and containers apart.
pub(super) fn tests(run: &Run) -> Result<Done> {
    let filter = run.options.filter.iter().map(String::as_str);
    if !run.options.without_nextest && set_up::has_nextest() {
        let mut command = process::cargo(["nextest", "run", "--workspace", "--locked"]);
        if !run.options.filter.is_empty() {
            // They may all be doctests, or tests for the guest.
            command.arg("--no-tests=pass").args(filter);
        }
        return run.counted(&mut command, Counts::of_nextest);
    }
    eprintln!("no cargo-nextest: cargo test instead, one test at a time, as it knows no groups of tests");
    // Some tests load or start an example. Cargo builds those for tests that are not chosen by
    // name, and for no others.
    run.command(&mut process::cargo(["build", "--workspace", "--examples", "--locked"]))?;
    let mut command =
        process::cargo(["test", "--workspace", "--locked", "--no-fail-fast", "--lib", "--bins"]);
    for name in test_targets(&metadata::of_workspace()?).into_iter().filter(|name| !is_apart(name)) {
        command.args(["--test", &name]);
    }
    command.args(["--", "--test-threads=1"]).args(filter);
    run.counted(&mut command, Counts::of_libtest)
}

/// The programs in C, each of which is a test.
pub(super) fn c(run: &Run) -> Result<Done> {
    let libraries = toolchain::build()?;
    let filter = run.options.filter.iter().map(String::as_str);
    if !run.options.without_nextest && set_up::has_nextest() {
        let mut command = process::cargo(["nextest", "run", "--workspace", "--test", C_PROGRAMS, "--locked"]);
        command.arg("--ignore-default-filter").env(toolchain::LIBRARIES, libraries);
        if !run.options.filter.is_empty() {
            command.arg("--no-tests=pass").args(filter);
        }
        return run.counted(&mut command, Counts::of_nextest);
    }
    eprintln!("no cargo-nextest: cargo test instead");
    // It takes one part of names at a time.
    let parts: Vec<&str> = if run.options.filter.is_empty() { vec![""] } else { filter.collect() };
    let (mut counts, mut failures) = (Counts::default(), Vec::new());
    for part in parts {
        let mut command =
            process::cargo(["test", "--workspace", "--test", C_PROGRAMS, "--locked", "--", part]);
        let done = run.counted(command.env(toolchain::LIBRARIES, &libraries), Counts::of_libtest)?;
        counts += done.counts;
        if let Verdict::Failed(why) = done.verdict {
            failures.push(why);
        }
    }
    match failures.is_empty() {
        true => Ok(Done::counted(counts)),
        false => Ok(Done::failed(counts, failures.join("; "))),
    }
}

/// The command in real containers. Where there can be none, each test says so.
pub(super) fn containers(run: &Run) -> Result<Done> {
    let mut command = process::cargo(["test", "--workspace", "--test", CONTAINERS, "--locked"]);
    // They measure the machine's RAM.
    command.args(["--", "--test-threads=1"]).args(&run.options.filter);
    run.counted(&mut command, Counts::of_libtest)
}

pub(super) fn doctests(run: &Run) -> Result<Done> {
    let mut command = process::cargo(["test", "--doc", "--workspace", "--locked", "--"]);
    command.args(&run.options.filter);
    run.counted(&mut command, Counts::of_libtest)
}

/// No module imports from a higher layer, and none in a circle that is not known.
pub(super) fn layers(_: &Run) -> Result<Done> {
    let passed = crate::layers::check()?;
    Ok(Done::counted(Counts { passed, ..Counts::default() }))
}

/// The public items of the libraries are those that are written down.
pub(super) fn api(_: &Run) -> Result<Done> {
    match crate::api::check()? {
        Compared::Same(passed) => Ok(Done::counted(Counts { passed, ..Counts::default() })),
        Compared::Cannot(why) => Ok(Done::skipped(&why)),
    }
}

/// The registry's order of loads and stores, in all orders that a machine may choose.
pub(super) fn models(_: &Run) -> Result<Done> {
    crate::soundness::models()?;
    Ok(Done::default())
}

/// What comes from elsewhere, spoilt by a fuzzer: a minute for all targets together.
pub(super) fn fuzz(_: &Run) -> Result<Done> {
    let options = crate::fuzz::Options { seconds: FUZZ_SECONDS, targets: Vec::new(), input: None };
    let report = crate::fuzz::run(&options)?;
    eprintln!("{report}");
    Ok(Done::default())
}

/// Every example of the library runs and ends well.
pub(super) fn examples(run: &Run) -> Result<Done> {
    let mut build = selection::workspace();
    let programs = run.executables(build.arg("--message-format=json-render-diagnostics"), "example")?;
    let mut passed = 0;
    for package in ["areas", "areas-slab"] {
        let folder = process::workspace().join("crates").join(package).join("examples");
        for entry in fs::read_dir(&folder)? {
            let source = entry?.path();
            if source.extension().is_none_or(|extension| extension != "rs") {
                continue;
            }
            let name = source.file_stem().unwrap_or_default().to_string_lossy();
            let (_, program) = programs
                .iter()
                .find(|(built, _)| *built == name)
                .with_context(|| format!("{package}: cargo built no example {name}"))?;
            run.program(&mut Command::new(program), PROGRAM_LIMIT)?;
            // Each is a check of its own.
            passed += 1;
        }
    }
    Ok(Done::counted(Counts { passed, ..Counts::default() }))
}

/// The command that the README starts with.
pub(super) fn tour(run: &Run) -> Result<Done> {
    if !process::workspace().join("README.md").exists() {
        return Ok(Done::skipped("no README.md yet"));
    }
    // Built apart, so that the limit is the program's alone.
    run.command(&mut process::cargo(["build", "--release", "--locked"]))?;
    run.program(&mut process::cargo(["run", "--release", "--", "tour"]), PROGRAM_LIMIT)?;
    Ok(Done::default())
}

/// What the README shows of the command is what the command does.
pub(super) fn pictures(_: &Run) -> Result<Done> {
    let passed = crate::pictures::check()?;
    Ok(Done::counted(Counts { passed, ..Counts::default() }))
}

/// A storm of a minute; of ten seconds where time is short.
pub(super) fn storm(run: &Run) -> Result<Done> {
    let program = storm::build()?;
    let minutes = if run.options.quick { "0.17" } else { "1" };
    run.program(Command::new(program).args(["--minutes", minutes]), STORM_LIMIT)?;
    // It is one check, of many.
    Ok(Done::counted(Counts { passed: 1, ..Counts::default() }))
}

/// Every row of the benchmarks with tiny numbers, and the instructions of the hot paths.
pub(super) fn bench(run: &Run) -> Result<Done> {
    let (checks, skipped) = crate::bench::smoke()?;
    for skipped in skipped {
        // A row that lacks several peers is one check that lacks something.
        let (row, why) = skipped.split_once(": ").unwrap_or((&skipped, "no reason given"));
        run.skips.note(&format!("bench {row}"), why)?;
    }
    Ok(Done::counted(Counts { passed: checks, ..Counts::default() }))
}

/// Whether another step runs an integration test: `.config/nextest.toml` leaves out the same ones.
fn is_apart(name: &str) -> bool {
    name.starts_with("guest_") || name == CONTAINERS || name == C_PROGRAMS
}

/// The names of the workspace's integration tests.
fn test_targets(metadata: &Value) -> Vec<String> {
    let members = metadata["workspace_members"].as_array().cloned().unwrap_or_default();
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let targets = packages
        .filter(|package| members.contains(&package["id"]))
        .flat_map(|package| package["targets"].as_array().into_iter().flatten());
    targets
        .filter(|target| {
            target["kind"].as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind == "test"))
        })
        .filter_map(|target| target["name"].as_str().map(str::to_owned))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn integration_tests_of_members_are_found() {
        let metadata = json!({
            "workspace_members": ["a"],
            "packages": [
                {"id": "a", "targets": [{"kind": ["lib"], "name": "a"}, {"kind": ["test"], "name": "noun"}]},
                {"id": "b", "targets": [{"kind": ["test"], "name": "other"}]},
            ],
        });
        assert_eq!(test_targets(&metadata), ["noun"]);
        assert!(test_targets(&json!({})).is_empty());
    }
}
