//! `cargo xtask soundness`: what looks for undefined behaviour, and for orders of memory accesses
//! that break the registry. One command, so that the report in
//! `docs/reliability/undefined-behaviour.md` can be made again.
//!
//! What a machine lacks (a nightly toolchain with miri, a sanitizer's runtime, valgrind) is said,
//! and skipped.

use std::process::{Command, ExitCode, Stdio};

use anyhow::{Result, bail, ensure};
use clap::{Args, ValueEnum};

use crate::process;

const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Runs the checks for undefined behaviour: models of the registry's memory order, sanitizers,
/// miri, valgrind.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// Only these checks
    #[arg(value_name = "CHECK")]
    checks: Vec<Check>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Check {
    /// The order of loads and stores in tables, in all orders that loom can think of (models/)
    Models,
    /// Unit tests, and those of areas and registry, with AddressSanitizer
    Address,
    /// The same with ThreadSanitizer; needs a nightly toolchain with rust-src, because std must be
    /// instrumented too
    Thread,
    /// Unit tests of what makes no system calls, in miri; needs a nightly toolchain with miri and
    /// rust-src
    Miri,
    /// Unit tests of tables, sizes, places in valgrind
    Valgrind,
}

/// Tests that a sanitizer cannot run, each with the reason: the end of a test's name, as it is
/// printed.
type Unable = &'static [(&'static str, &'static str)];

const NOT_UNDER_EITHER: Unable = &[
    (
        "no_mapping_is_left_for_others_tables",
        "it takes all mappings that there are, which the sanitizer needs, too",
    ),
    (
        "a_child_that_only_execs_pays_nothing",
        "it allows no system call but fork and exec, and the sanitizer makes some",
    ),
    (
        "what_cannot_be_accepted_stays_in_line",
        "it limits addresses (RLIMIT_AS), of which the sanitizer has terabytes",
    ),
    ("what_was_refused_or_could_not_be_accepted_is_claimed_no_longer_than_that", "it limits addresses, too"),
];

const NOT_UNDER_ADDRESS: Unable = &[
    (
        "machine_as_many_areas_as_mappings",
        "it counts the mappings that are left, of which the sanitizer takes some at any moment",
    ),
    ("what_is_no_text_hides_no_holder", "it wants addresses at which the sanitizer has its notes"),
    ("the_kernel_merges_none_of_them", "the sanitizer maps where its addresses would be"),
    ("locked_memory::", "they lock all that is mapped (mlockall), of which the sanitizer has terabytes"),
];

const NOT_UNDER_VALGRIND: Unable = &[
    // Sixty thousand areas at a fiftieth of the speed show nothing that sixty do not.
    ("full_is_reported", "it fills a table of tens of thousands of areas, which takes an hour there"),
    ("readers_miss_no_area", "as full_is_reported"),
    ("the_kernel_merges_none_of_them", "valgrind chooses addresses itself"),
    ("what_an_area_lost_is_counted", "valgrind 3.19 has no mlock2"),
    (
        "a_low_number_of_another_file_is_closed_only_where_it_could_be_written",
        "valgrind 3.19 has no pidfd_open",
    ),
    ("who_has_only_low_numbers_left_reaches_a_limit", "valgrind 3.19 has no pidfd_open"),
    ("threads_that_are_started_concurrently_get_none", "valgrind keeps the last signal for itself"),
];

const NOT_UNDER_THREAD: Unable = &[
    ("at_the_address_that_the_source_has", "it wants addresses at which the sanitizer has its notes"),
    ("twins::", "they load a second copy of the library, which takes a std of its own here and is not built"),
    (
        "scale::",
        "they count in tens of thousands, in whose time the sanitizer shows nothing that hundreds do not",
    ),
    ("ten_thousand_areas_of_another_team", "as scale"),
    ("locked_memory::", "they lock all that is mapped (mlockall), of which the sanitizer has terabytes"),
    (
        "after_a_log_out_areas_are_found_without_a_call_of_their_holder",
        "it counts the threads, of which the sanitizer has one of its own",
    ),
];

/// Unit tests that make no system calls which miri lacks, by parts of their names: those of the
/// library.
const PURE: [&str; 40] = [
    "error::errno",
    "error::tests",
    "error::remedy::tests::what_",
    "nodes::",
    "size::",
    "page::",
    "lock::",
    "protection::",
    "topology::cpuset",
    "topology::meminfo",
    "mapping::asked",
    "physical::choose",
    "physical::tests",
    "physical::reserved",
    "range::parts",
    "verify::tests",
    "residency::tests::one_line",
    "residency::tests::what_was_found",
    "residency::totals::tests::maps_that",
    "residency::totals::tests::totals_of",
    "residency::totals::tests::what_makes",
    "residency::table",
    "provider::address::tests::between",
    "provider::split::tests::by_weight",
    "provider::striped",
    "populate::room::tests::what_",
    "cgroup::memory::tests::the_tightest",
    "registry::table::name",
    "registry::table::id",
    "registry::transfer::pending",
    "registry::transfer::socket::tests",
    "registry::directory::link",
    "registry::process::tests::a_process",
    "registry::own::by_address",
    "registry::process::holders::tests::reads_lines",
    "registry::process::holders::tests::of_physical",
    "registry::table::tests::steps::hostile_records",
    "object::making",
    "passing::tests",
    "text::tests::what_",
];

/// And those of the C edge, whose memory is the program's.
const PURE_AT_THE_EDGE: [&str; 13] = [
    "aml::bitmap",
    "aml::blocks",
    "aml::error",
    "aml::tables::tests::one_that",
    "aml::tables::tests::who_",
    "be::errors",
    "be::proc",
    "be::words",
    "edge::",
    "error::tests",
    "native::placement",
    "native::sized",
    "native::words",
];

/// The command.
pub(crate) fn main(options: &Options) -> ExitCode {
    let all = Check::value_variants();
    let mut failed = false;
    for check in all.iter().filter(|check| options.checks.is_empty() || options.checks.contains(check)) {
        let line = match run(*check) {
            Ok(None) => "passed".to_owned(),
            Ok(Some(lacking)) => format!("SKIPPED: {lacking}"),
            Err(error) => {
                failed = true;
                format!("FAILED: {error:#}")
            }
        };
        println!("{check:?}: {line}");
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Runs one; what is lacking for it, if it cannot be run.
fn run(check: Check) -> Result<Option<String>> {
    match check {
        Check::Models => models().map(|()| None),
        Check::Address => address(),
        Check::Thread => thread(),
        Check::Miri => miri(),
        Check::Valgrind => valgrind(),
    }
}

/// The models of `models/`, which is a workspace of its own.
pub(crate) fn models() -> Result<()> {
    let mut command = process::cargo(["test", "--locked"]);
    command
        .current_dir(process::workspace().join("models"))
        .env("CARGO_TARGET_DIR", process::target_folder().join("models"));
    through(&mut command)
}

fn through(command: &mut Command) -> Result<()> {
    eprintln!("$ {}", process::shown(command));
    let ran = process::tee(command, None)?;
    ensure!(ran.status.success(), "{} failed ({})", process::shown(command), ran.status);
    Ok(())
}

/// `cargo` of a nightly toolchain, as rustup has it.
fn nightly<'a>(args: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = Command::new("cargo");
    // What the stable cargo that runs us has set is not for that one.
    for name in ["RUSTUP_TOOLCHAIN", "CARGO", "RUSTC", "RUSTDOC"] {
        command.env_remove(name);
    }
    command.arg("+nightly").args(args).current_dir(process::workspace());
    command
}

fn works(command: &mut Command) -> bool {
    command.stdin(Stdio::null()).output().is_ok_and(|output| output.status.success())
}

/// What sanitizers run.
const TESTED: [&str; 10] =
    ["test", "-p", "areas", "--locked", "--no-fail-fast", "--lib", "--test", "registry", "--test", "area"];

/// Says which tests are not run, and has them not run.
fn leave_out<'a>(command: &mut Command, unable: impl IntoIterator<Item = &'a (&'static str, &'static str)>) {
    for (test, why) in unable {
        println!("SKIPPED: {test}: {why}");
        command.args(["--skip", test]);
    }
}

fn address() -> Result<Option<String>> {
    if !crate::fuzz::has_address_sanitizer()? {
        return Ok(Some("this toolchain has no runtime for AddressSanitizer".into()));
    }
    let sanitized = |args: &[&'static str]| {
        let mut command = process::cargo(args.iter().copied());
        command
            .args(["--target", TARGET])
            .env("CARGO_TARGET_DIR", process::target_folder().join("address"))
            // The second copy of the library takes the sanitizer from the program that loads it.
            .env("RUSTFLAGS", "-Zsanitizer=address -Clink-arg=-Wl,--export-dynamic")
            .env("RUSTC_BOOTSTRAP", "1");
        command
    };
    // The second copy of the library that some tests of the registry load.
    through(&mut sanitized(&["build", "-p", "areas", "--locked", "--example", "areas_twin"]))?;
    let mut command = sanitized(&TESTED);
    // One at a time: what one maps, or has inherited by a fork, another does not take for its own.
    command.args(["--", "--test-threads=1"]);
    leave_out(&mut command, NOT_UNDER_EITHER.iter().chain(NOT_UNDER_ADDRESS));
    command
        // It cannot stop other threads in the children of tests that fork; and some tests look
        // which signal a fault is.
        .env("ASAN_OPTIONS", "detect_leaks=0:handle_segv=0:handle_sigbus=0");
    through(&mut command)?;
    Ok(None)
}

fn thread() -> Result<Option<String>> {
    let sources = nightly_sources()?;
    if let Some(lacking) = sources {
        return Ok(Some(lacking));
    }
    let mut command = nightly(TESTED);
    // One test at a time: each has threads and processes of its own, and what one maps another does
    // not take for its own.
    command.args(["-Zbuild-std", "--target", TARGET, "--", "--test-threads=1"]);
    leave_out(&mut command, NOT_UNDER_EITHER.iter().chain(NOT_UNDER_THREAD));
    command
        // Some tests look which signal a fault is, and children of threads that fork may have
        // threads, too. No report is suppressed.
        .env("TSAN_OPTIONS", "handle_segv=0:handle_sigbus=0:die_after_fork=0")
        .env("CARGO_TARGET_DIR", process::target_folder().join("thread"))
        .env("RUSTFLAGS", "-Zsanitizer=thread");
    through(&mut command)?;
    Ok(None)
}

/// What is lacking for a std of one's own.
fn nightly_sources() -> Result<Option<String>> {
    let mut command = Command::new("rustc");
    command.env_remove("RUSTUP_TOOLCHAIN").args(["+nightly", "--print", "sysroot"]);
    let output = command.stdin(Stdio::null()).output()?;
    let sysroot = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let library = std::path::Path::new(&sysroot).join("lib/rustlib/src/rust/library");
    if !output.status.success() || !library.exists() {
        return Ok(Some("there is no nightly toolchain with rust-src: `rustup component add rust-src --toolchain nightly`".into()));
    }
    Ok(None)
}

fn miri() -> Result<Option<String>> {
    if !works(&mut nightly(["miri", "--version"])) {
        return Ok(Some(
            "there is no nightly toolchain with miri: `rustup component add miri rust-src --toolchain nightly`"
                .into(),
        ));
    }
    in_miri("areas", &PURE)?;
    in_miri("areas-capi", &PURE_AT_THE_EDGE)?;
    Ok(None)
}

/// Runs these of a package's unit tests in miri.
fn in_miri(package: &str, pure: &[&str]) -> Result<()> {
    let miri = || {
        let mut command = nightly(["miri", "test", "--lib", "--locked", "-p", package, "--"]);
        command
            // Properties are tried often elsewhere; here a few cases show what each access is.
            .env("PROPTEST_CASES", "4")
            .env("MIRIFLAGS", "-Zmiri-disable-isolation")
            .env("CARGO_TARGET_DIR", process::target_folder().join("miri"));
        command
    };
    // A name that no test has any more would be tried forever, and say nothing.
    let listed = miri().arg("--list").stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
    ensure!(listed.status.success(), "the unit tests of {package} could not be listed in miri");
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let unmatched: Vec<_> = pure
        .iter()
        .filter(|part| !listed.lines().any(|line| line.ends_with(": test") && line.contains(**part)))
        .collect();
    ensure!(unmatched.is_empty(), "no test of {package} has {unmatched:?} in its name");
    // Some have a part of such a name, too; what is there makes system calls.
    through(miri().args(pure).args(["--skip", "sys::"]))
}

fn valgrind() -> Result<Option<String>> {
    if process::which("valgrind").is_none() {
        return Ok(Some("valgrind is not installed".into()));
    }
    let mut build =
        process::cargo(["test", "-p", "areas", "--lib", "--locked", "--no-run", "--message-format=json"]);
    let output = build.stderr(Stdio::inherit()).stdin(Stdio::null()).output()?;
    let messages = String::from_utf8_lossy(&output.stdout);
    let program = messages.lines().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        message["executable"].as_str().map(str::to_owned)
    });
    let Some(program) = program else { bail!("the unit tests were not built") };
    let mut command = Command::new("valgrind");
    command
        .args(["--error-exitcode=9", "--quiet", "--leak-check=no"])
        .arg(program)
        .args(["--test-threads=1", "registry::", "sys::", "mapping::", "range::"])
        .env("PROPTEST_CASES", "2");
    leave_out(&mut command, NOT_UNDER_VALGRIND);
    through(&mut command)?;
    Ok(None)
}
