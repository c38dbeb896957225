//! `cargo xtask fuzz`: builds the fuzz targets in `fuzz/` and runs each for some seconds, one after
//! the other.
//!
//! cargo-fuzz is not needed, nor a nightly toolchain: coverage comes from flags that stable has.
//! AddressSanitizer is not among them; its runtime comes with the toolchain all the same, and
//! RUSTC_BOOTSTRAP=1 allows the flag. Where there is no such runtime it is left out, which is said.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;

use crate::process;

/// The one architecture that we test on.
const TARGET: &str = "x86_64-unknown-linux-gnu";
/// What cargo-fuzz passes too: counters and comparisons for libFuzzer.
const COVERAGE: [&str; 7] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=1",
    "--cfg=fuzzing",
];
/// Longer than any honest run of a target, on a busy machine.
const HANGS: u32 = 30;

/// Runs the fuzz targets, each for some seconds, and stops at the first finding.
///
/// The corpus grows in the target folder, and seeds in fuzz/corpus-seeds start it. A finding is a
/// file, named at the end: run it again with `cargo xtask fuzz TARGET --input FILE`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// Seconds for each target
    #[arg(long, default_value_t = 8)]
    pub(crate) seconds: u32,
    /// Only these targets
    #[arg(value_name = "TARGET")]
    pub(crate) targets: Vec<String>,
    /// Run the one target with this input, instead of fuzzing
    #[arg(long, value_name = "FILE")]
    pub(crate) input: Option<PathBuf>,
}

/// How one target went.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    name: String,
    executions: u64,
    /// Edges of the program that were reached.
    coverage: u64,
    /// Inputs in the corpus.
    corpus: u64,
}

/// The command.
pub(crate) fn main(options: &Options) -> ExitCode {
    match run(options) {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("xtask fuzz: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Builds and runs; a table of what was reached.
pub(crate) fn run(options: &Options) -> Result<String> {
    let sanitizer = has_address_sanitizer()?;
    build(sanitizer)?;
    let mut names = targets()?;
    if !options.targets.is_empty() {
        if let Some(unknown) = options.targets.iter().find(|name| !names.contains(name)) {
            bail!("there is no fuzz target {unknown}; there are {}", names.join(", "));
        }
        names.retain(|name| options.targets.contains(name));
    }
    if let Some(input) = &options.input {
        ensure!(names.len() == 1, "name the one target that the input is for");
        let ran = process::tee(Command::new(program(&names[0])).arg(input), None)?;
        ensure!(ran.status.success(), "{} fails with {}", names[0], input.display());
        return Ok(format!("{} has nothing against {}", names[0], input.display()));
    }
    let mut report = format!(
        "fuzzed for {} s each, {}\n{:<10} {:>12} {:>9} {:>7}  findings\n",
        options.seconds,
        if sanitizer {
            "with AddressSanitizer"
        } else {
            "without AddressSanitizer: this toolchain has no runtime for it"
        },
        "target",
        "executions",
        "coverage",
        "corpus",
    );
    for name in names {
        let row = fuzz(&name, options.seconds)?;
        report +=
            &format!("{:<10} {:>12} {:>9} {:>7}  none\n", row.name, row.executions, row.coverage, row.corpus);
    }
    Ok(report.trim_end().to_owned())
}

/// A fuzzer for each file in `fuzz/fuzz_targets`.
fn targets() -> Result<Vec<String>> {
    let folder = folder().join("fuzz_targets");
    let entries = fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.path().file_stem().map(|name| name.to_string_lossy().into_owned()))
        .collect();
    names.sort_unstable();
    Ok(names)
}

fn folder() -> PathBuf {
    process::workspace().join("fuzz")
}

/// Where they are built: apart from everything else, which has other flags.
fn built() -> PathBuf {
    process::target_folder().join("fuzz")
}

fn program(name: &str) -> PathBuf {
    built().join(TARGET).join("release").join(name)
}

pub(crate) fn has_address_sanitizer() -> Result<bool> {
    let mut command = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    let output = command.args(["--print", "target-libdir", "--target", TARGET]).output()?;
    let libraries = String::from_utf8(output.stdout)?;
    Ok(fs::read_dir(Path::new(libraries.trim()))?.flatten().any(|file| {
        let name = file.file_name();
        name.to_string_lossy().ends_with("_rt.asan.a")
    }))
}

fn build(sanitizer: bool) -> Result<()> {
    let mut flags = COVERAGE.to_vec();
    if sanitizer {
        flags.push("-Zsanitizer=address");
    }
    let args = ["build", "--release", "--bins", "--locked", "--target", TARGET];
    let mut command = process::cargo(args);
    command
        .current_dir(folder())
        .env("CARGO_TARGET_DIR", built())
        // Separated by what no flag holds; RUSTFLAGS would come second.
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"))
        .env("RUSTC_BOOTSTRAP", "1");
    eprintln!("$ {}", process::shown(&command));
    let ran = process::tee(&mut command, None)?;
    ensure!(ran.status.success(), "the fuzz targets do not build ({})", ran.status);
    Ok(())
}

fn fuzz(name: &str, seconds: u32) -> Result<Row> {
    let corpus = built().join("corpus").join(name);
    let findings = built().join("findings").join(name);
    fs::create_dir_all(&corpus)?;
    fs::create_dir_all(&findings)?;
    let mut command = Command::new(program(name));
    command
        .arg(&corpus)
        .arg(folder().join("corpus-seeds").join(name))
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-timeout={HANGS}"))
        .arg(format!("-artifact_prefix={}/", findings.display()))
        .args(["-rss_limit_mb=4096", "-max_len=8192", "-print_final_stats=1"]);
    eprintln!("$ {}", process::shown(&command));
    // It ends by itself; where it does not, that is a finding too.
    let limit = Duration::from_secs(u64::from(seconds) + 120);
    let ran = process::tee(&mut command, Some(limit))?;
    ensure!(!ran.timed_out, "{name} was still running after {limit:?}");
    ensure!(
        ran.status.success(),
        "{name} found something ({}): run `cargo xtask fuzz {name} --input FILE` with the file in {}",
        ran.status,
        findings.display()
    );
    read(name, &ran.output).with_context(|| format!("{name} did not say how far it came"))
}

/// What libFuzzer says at its end.
fn read(name: &str, output: &str) -> Option<Row> {
    let last = output.lines().rev().find(|line| line.starts_with('#') && line.contains(" cov: "))?;
    let after = |word: &str| -> Option<u64> {
        let rest = last.split_once(word)?.1.trim_start();
        rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    };
    let executions = output.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"))?;
    Some(Row {
        name: name.to_owned(),
        executions: executions.trim().parse().ok()?,
        coverage: after(" cov:")?,
        corpus: after(" corp:")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_libfuzzer_says() {
        let output = "#2\tINITED cov: 5 ft: 6 corp: 1/1b exec/s: 0 rss: 40Mb\n\
                      #1048576\tDONE   cov: 312 ft: 900 corp: 77/12Kb lim: 8192 exec/s: 131072 rss: 410Mb\n\
                      Done 1048576 runs in 8 second(s)\nstat::number_of_executed_units: 1048576\n";
        let row = Row { name: "link".into(), executions: 1_048_576, coverage: 312, corpus: 77 };
        assert_eq!(read("link", output), Some(row));
        assert_eq!(read("link", "nothing"), None);
    }
}
