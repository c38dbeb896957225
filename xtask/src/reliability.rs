//! `cargo xtask reliability`: what may happen to holders of areas is made to happen, at every
//! point; and the outcome is written down. `cargo xtask test` runs the short forms of the same as
//! tests.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail, ensure};
use clap::{Args, Parser};

use crate::{process, selection, storm, vm};

/// Kills operations at each of their system calls, has each call fail, has a peer change what they
/// look at before each, counts calls at scale; writes the outcome to target/reliability. Then lets
/// the storm blow for a while.
///
/// docs/reliability.md is the report's first page. Its other commands: `cargo xtask fuzz`, `cargo
/// xtask soundness`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// Put the chapters into docs/reliability, too: to be committed
    #[arg(long)]
    docs: bool,
    /// How long the storm blows afterwards; 0: not at all
    #[arg(long, value_name = "MINUTES", default_value_t = 1)]
    minutes: u32,
    /// Scale alone, in a guest with a kernel and 5,000 MiB of its own: half an hour and more, as
    /// its processors are emulated
    #[arg(long)]
    guest: bool,
}

/// A guest's options.
#[derive(Debug, Parser)]
#[command(no_binary_name = true)]
struct Boot {
    #[command(flatten)]
    options: vm::Options,
}

/// A thousand processes, and a hundred thousand objects, take that many MiB; nothing else runs
/// there, so that a slow machine may take its time.
const GUEST: [&str; 4] = ["--nodes", "2:5000", "--timeout", "7200"];

/// The trials, by the names of their chapters.
const TRIALS: [(&str, &str); 4] =
    [("kill", "kill"), ("inject", "injected-errors"), ("between", "between-calls"), ("scale", "scale")];

pub(crate) fn main(options: &Options) -> ExitCode {
    match all(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask reliability: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn all(options: &Options) -> Result<()> {
    let folder = process::target_folder().join("reliability");
    let folder_text = folder.to_str().context("the target folder is not UTF-8")?;
    if options.guest {
        in_guest(folder_text)?;
        return if options.docs {
            keep(&folder.join("scale-in-a-guest.md"), "scale-in-a-guest")
        } else {
            Ok(())
        };
    }
    let mut failed = Vec::new();
    for (trial, chapter) in TRIALS {
        // What is timed is built as programs are that a user waits for.
        let profile = if trial == "scale" { "--release" } else { "--profile=dev" };
        let args = [
            "run",
            profile,
            "--quiet",
            "--locked",
            "--package",
            "areas-reliability",
            "--",
            trial,
            "--report",
            folder_text,
        ];
        let mut command = process::cargo(args);
        eprintln!("$ {}", process::shown(&command));
        // It draws its own bar, so it has the terminal.
        if !command.status().with_context(|| format!("cannot run {}", process::shown(&command)))?.success() {
            failed.push(trial);
        }
        if options.docs {
            keep(&folder.join(format!("{chapter}.md")), chapter)?;
        }
    }
    eprintln!("written: {}", folder.display());
    if options.minutes > 0 && !blow(options.minutes)? {
        failed.push("storm");
    }
    eprintln!("of docs/reliability.md, `cargo xtask fuzz` and `cargo xtask soundness` make the rest");
    if failed.is_empty() { Ok(()) } else { bail!("found wrong by: {}", failed.join(", ")) }
}

/// Counts and times what looking costs on a machine that nothing else uses.
fn in_guest(folder: &str) -> Result<()> {
    let mut build = selection::optimised("areas-reliability");
    eprintln!("$ {}", process::shown(&build));
    ensure!(build.status()?.success(), "{} failed", process::shown(&build));
    let program = process::target_folder().join("release/areas-reliability");
    let program = program.to_str().context("the target folder is not UTF-8")?;
    let rest = ["--out", folder, "--", program, "scale", "--report", "/out"];
    let boot = Boot::try_parse_from(GUEST.iter().chain(&rest))?;
    let outcome = vm::run(&boot.options, &mut std::io::stdout(), &mut std::io::stderr())?;
    ensure!(
        outcome.code == 0,
        "in the guest: {}",
        outcome.message.unwrap_or_else(|| format!("exit status {}", outcome.code))
    );
    eprintln!("written: {folder}");
    Ok(())
}

/// The storm, whether it found nothing wrong.
fn blow(minutes: u32) -> Result<bool> {
    let mut command = Command::new(storm::build()?);
    command.args(["--minutes", &minutes.to_string()]);
    eprintln!("$ {}", process::shown(&command));
    Ok(command.status().with_context(|| format!("cannot run {}", process::shown(&command)))?.success())
}

/// Puts a chapter into the docs, and how often it tried into the row that the first page has for
/// it.
fn keep(written: &Path, chapter: &str) -> Result<()> {
    let docs = process::workspace().join("docs");
    let text = fs::read_to_string(written).with_context(|| format!("cannot read {}", written.display()))?;
    let put = |path: &Path, text: &str| {
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    };
    put(&docs.join(format!("reliability/{chapter}.md")), &text)?;
    let Some(count) = count_of(&text) else { return Ok(()) };
    let first = docs.join("reliability.md");
    let page = fs::read_to_string(&first).with_context(|| format!("cannot read {}", first.display()))?;
    let page = with_count(&page, chapter, count)
        .with_context(|| format!("{} has no row for {chapter}", first.display()))?;
    put(&first, &page)
}

/// How often a chapter says that it tried, where it does: `45 operations, 3298 kills …`, up to what
/// was wrong.
fn count_of(chapter: &str) -> Option<&str> {
    let line =
        chapter.lines().find(|line| line.contains(" operations, ") && line.contains(" things wrong"))?;
    line.split("; ").next()
}

/// The first page with that in the second cell of a chapter's row; `None` if there is none.
fn with_count(page: &str, chapter: &str, count: &str) -> Option<String> {
    let link = format!("(reliability/{chapter}.md)");
    let row = page.lines().find(|line| line.starts_with("| [") && line.contains(&link))?;
    let mut cells: Vec<&str> = row.split(" | ").collect();
    *cells.get_mut(1)? = count;
    Some(page.replacen(row, &cells.join(" | "), 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_page_says_how_often() {
        let page = "| what | how often | result | command |\n|---|---|---|---|\n\
                    | [Kills](reliability/kill.md): each | 1 operation | good | `x` |\n\
                    | [Storm](reliability/storm.md): all | a minute | good | `y` |\n\nMore.\n";
        let chapter = "# Kill\n\n2 operations, 30 kills, 4 objects; 0 things wrong. (Some.)\n";
        let count = count_of(chapter).unwrap();
        assert_eq!(count, "2 operations, 30 kills, 4 objects");
        let now = with_count(page, "kill", count).unwrap();
        assert_eq!(now, page.replace("1 operation", count));
        assert_eq!(with_count(page, "scale", count), None);
        assert_eq!(count_of("# Scale\n\nNothing is counted so.\n"), None);
    }
}
