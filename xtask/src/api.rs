//! `cargo xtask api`: the public items of the published libraries, a line each, held against what
//! is written down in `docs/api`. What changes for users shows in the change itself, and not only
//! in what they build next.
//!
//! rustdoc writes the items as JSON, which it does for nightly toolchains alone unless it is asked
//! to take this one for such: a stable compiler's own format, of one version. Another toolchain's
//! may have another version, and then there is nothing to compare.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::{ExitCode, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use serde_json::Value;

use crate::process;

/// The libraries that others write programs with.
const LIBRARIES: [&str; 3] = ["areas", "areas-conformance", "areas-slab"];

/// The version of rustdoc's JSON that `public-api` reads, in the version that `Cargo.toml` names.
const FORMAT: u64 = 57;

/// What every type has or has not by what it is made of, and what no program can name: of such
/// traits only `Send` and `Sync` are kept.
const LEFT_OUT: [&str; 4] = [
    "core::marker::Freeze for ",
    "core::marker::StructuralPartialEq for ",
    "core::marker::Unpin for ",
    "core::panic::unwind_safe::",
];

/// Lists the public items of the libraries, and says what is not as docs/api has it.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// Write docs/api again
    #[arg(long)]
    write: bool,
}

/// What a comparison came to.
#[derive(Debug)]
pub(crate) enum Compared {
    Same(u64),
    /// Why there was nothing to compare.
    Cannot(String),
}

/// The command.
pub(crate) fn main(options: &Options) -> ExitCode {
    let done = if options.write { write() } else { check() };
    match done {
        Ok(Compared::Same(libraries)) => {
            println!("{libraries} libraries: docs/api has their public items");
            ExitCode::SUCCESS
        }
        Ok(Compared::Cannot(why)) => {
            eprintln!("xtask api: {why}");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("xtask api: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn write() -> Result<Compared> {
    for library in LIBRARIES {
        let items = match items(library)? {
            Ok(items) => items,
            Err(why) => return Ok(Compared::Cannot(why)),
        };
        let file = file_of(library);
        fs::create_dir_all(file.parent().context("a file is in a folder")?)?;
        fs::write(&file, items.join("\n") + "\n")
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(Compared::Same(LIBRARIES.len() as u64))
}

/// Compares each library's items with what is written down.
pub(crate) fn check() -> Result<Compared> {
    let mut faults = String::new();
    for library in LIBRARIES {
        let now = match items(library)? {
            Ok(items) => items,
            Err(why) => return Ok(Compared::Cannot(why)),
        };
        let file = file_of(library);
        let kept = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        faults += &difference(&kept.lines().map(str::to_owned).collect::<Vec<_>>(), &now);
    }
    ensure!(
        faults.is_empty(),
        "the public interface is not as docs/api has it:\n{faults}\
         If that is meant: `cargo xtask api --write`. What is gone or changed breaks programs: docs/release.md, CHANGELOG.md."
    );
    Ok(Compared::Same(LIBRARIES.len() as u64))
}

fn file_of(library: &str) -> PathBuf {
    process::workspace().join("docs/api").join(format!("{library}.txt"))
}

/// Items that are gone and items that are new, a line each.
fn difference(kept: &[String], now: &[String]) -> String {
    let (old, new): (BTreeSet<_>, BTreeSet<_>) = (kept.iter().collect(), now.iter().collect());
    let gone = old.difference(&new).map(|item| format!("- {item}\n"));
    gone.chain(new.difference(&old).map(|item| format!("+ {item}\n"))).collect()
}

/// A library's public items, or why this toolchain does not list them.
fn items(library: &str) -> Result<Result<Vec<String>, String>> {
    let json = json(library)?;
    let text = fs::read_to_string(&json).with_context(|| format!("cannot read {}", json.display()))?;
    let format = serde_json::from_str::<Value>(&text)?["format_version"].as_u64();
    if format != Some(FORMAT) {
        let format = format.map_or_else(|| "?".into(), |format| format.to_string());
        return Ok(Err(format!(
            "this toolchain's rustdoc writes JSON of format {format}, and {FORMAT} is read here (Rust 1.95 writes it)"
        )));
    }
    let api = public_api::Builder::from_rustdoc_json(&json).omit_blanket_impls(true).build();
    let api = api.with_context(|| format!("cannot list the items of {}", json.display()))?;
    let mut items: Vec<String> = api.items().map(ToString::to_string).collect();
    items.retain(|item| !LEFT_OUT.iter().any(|known| item.contains(known)));
    items.sort_unstable();
    items.dedup();
    ensure!(items.len() > 1, "{library} has no public items");
    Ok(Ok(items))
}

/// Has rustdoc describe a library, apart from other builds: they have other settings. The file that
/// it writes.
fn json(library: &str) -> Result<PathBuf> {
    let folder = process::target_folder().join("api");
    let args = ["rustdoc", "--package", library, "--lib", "--locked", "--quiet", "--target-dir"];
    let mut command = process::cargo(args);
    command.arg(&folder).args([
        "--",
        "-Z",
        "unstable-options",
        "--output-format",
        "json",
        "--cap-lints",
        "allow",
    ]);
    eprintln!("$ {}", process::shown(&command));
    let status = command
        .env("RUSTC_BOOTSTRAP", "1")
        .env_remove("RUSTDOCFLAGS")
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("cannot run {}", process::shown(&command)))?;
    if !status.success() {
        bail!("{} failed ({status})", process::shown(&command));
    }
    Ok(folder.join("doc").join(format!("{}.json", library.replace('-', "_"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_gone_and_what_is_new_is_reported() {
        let items = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(difference(&items("a b"), &items("b a")), "");
        assert_eq!(difference(&items("a b"), &items("b c")), "- a\n+ c\n");
    }

    #[test]
    fn a_list_is_written_down_for_each_library_that_is_published() {
        for library in LIBRARIES {
            assert!(file_of(library).exists(), "{library}");
        }
    }
}
