//! `cargo xtask pictures`: what the README shows of the command, recorded from the command itself
//! on a terminal, and drawn as SVG; and what becomes of an area, from text.
//!
//! | file | what |
//! |---|---|
//! | `scenes.rs` | what is run, and when the picture is taken |
//! | `terminal.rs` | a terminal with a program on it |
//! | `svg.rs` | the cells of a screen as SVG, and the words of such a picture |
//!
//! Numbers, ids and times differ from run to run, and the nodes from machine to machine. Whether a
//! picture is current is asked of the words in it, in their order: those without a digit.

mod scenes;
mod svg;
mod terminal;

use std::fs;
use std::path::PathBuf;
use std::process::{ExitCode, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;

use crate::{process, selection};
use scenes::SCENES;

/// Pictures that are drawn from a text of the same name beside them, and what they show.
const DRAWINGS: [(&str, &str); 1] = [(
    "life",
    "An area: its maker, the registry, a clone, one memory object; frozen, and freed with its last holder",
)];

/// Records the pictures of the README again, into docs/pictures.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// Change nothing; fail where a picture shows something else than the command does now
    #[arg(long)]
    check: bool,
    /// Only those that are drawn from text
    #[arg(long, conflicts_with = "check")]
    drawings: bool,
}

pub(crate) fn main(options: &Options) -> ExitCode {
    let done = if options.check { check().map(|_| ()) } else { record(options.drawings) };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cargo xtask pictures: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn record(only_drawings: bool) -> Result<()> {
    let write = |name: &str, picture: String| -> Result<()> {
        let file = file_of(name);
        fs::write(&file, picture).with_context(|| format!("cannot write {}", file.display()))?;
        eprintln!("written: {}", file.display());
        Ok(())
    };
    for (name, title) in DRAWINGS {
        write(name, drawing(name, title)?)?;
    }
    if only_drawings {
        return Ok(());
    }
    let program = program()?;
    for scene in SCENES {
        write(scene.name, scenes::picture(&program, scene)?)?;
    }
    Ok(())
}

/// That each picture is shown, and shows what the command does now; gives how many there are.
pub(crate) fn check() -> Result<u64> {
    let readme = fs::read_to_string(process::workspace().join("README.md"))?;
    let kept = |name: &str| {
        ensure!(readme.contains(&format!("docs/pictures/{name}.svg")), "the README does not show {name}.svg");
        let file = file_of(name);
        fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))
    };
    let mut checked = 0;
    for (name, title) in DRAWINGS {
        ensure!(
            kept(name)? == drawing(name, title)?,
            "docs/pictures/{name}.svg is not what {name}.txt shows; `cargo xtask pictures --drawings` draws it again"
        );
        checked += 1;
    }
    let program = program()?;
    for scene in SCENES {
        let name = scene.name;
        let kept = kept(name)?;
        let (kept, now) = (svg::words(&kept), svg::words(&scenes::picture(&program, scene)?));
        if let Some(difference) = difference(&kept, &now) {
            bail!(
                "docs/pictures/{name}.svg is not current: {difference}; `cargo xtask pictures` records it again"
            );
        }
        checked += 1;
    }
    Ok(checked)
}

/// Where two sequences of words begin to differ.
fn difference(kept: &[String], now: &[String]) -> Option<String> {
    let at = (0..kept.len().max(now.len())).find(|&at| kept.get(at) != now.get(at))?;
    let from =
        |words: &[String]| words[at.saturating_sub(3).min(words.len())..words.len().min(at + 5)].join(" ");
    Some(format!("it has \"… {} …\", and the command shows \"… {} …\"", from(kept), from(now)))
}

/// Draws the text that is beside the picture.
fn drawing(name: &str, title: &str) -> Result<String> {
    let file = file_of(name).with_extension("txt");
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    svg::drawn(&text, title).with_context(|| format!("{} cannot be drawn", file.display()))
}

fn file_of(name: &str) -> PathBuf {
    process::workspace().join("docs/pictures").join(format!("{name}.svg"))
}

/// The command, built as the tests have it.
fn program() -> Result<PathBuf> {
    let status = selection::workspace().stdin(Stdio::null()).status().context("cannot run cargo")?;
    ensure!(status.success(), "the command could not be built ({status})");
    Ok(process::target_folder().join("debug/areas"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_words_differ_is_reported() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(difference(&words("a b"), &words("a b")), None);
        let reported = difference(&words("a b c d e"), &words("a b c x")).unwrap();
        assert_eq!(reported, "it has \"… a b c d e …\", and the command shows \"… a b c x …\"");
        assert!(difference(&words("a b"), &words("a")).is_some());
    }
}
