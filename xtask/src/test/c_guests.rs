//! C programs for the guest step: `crates/areas-capi/tests/c/guest/*.c`, compiled here with the
//! static library. They list and run their tests as libtest does (`guest/tests.h`), and say in `//
//! vm:` lines which machines they want, as the Rust ones do.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::Run;
use crate::{process, selection};

/// What the static library needs besides.
const NATIVE_LIBRARIES: [&str; 5] = ["-lgcc_s", "-lpthread", "-ldl", "-lm", "-lc"];

/// Name, program and source of each.
pub(super) fn build(run: &Run) -> Result<Vec<(String, PathBuf, PathBuf)>> {
    let home = process::workspace().join("crates/areas-capi");
    let tests = home.join("tests/c");
    let mut sources = Vec::new();
    for entry in fs::read_dir(tests.join("guest"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "c") {
            sources.push(path);
        }
    }
    sources.sort();
    let work = process::target_folder().join("c-guests");
    fs::create_dir_all(&work).with_context(|| format!("cannot make {}", work.display()))?;
    run.command(&mut selection::workspace())?;
    let archive = process::target_folder().join("debug/libareas.a");
    let mut programs = Vec::new();
    for source in sources {
        let name = source.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let program = work.join(&name);
        run.command(&mut compile(&home, &source, &archive, &program))?;
        programs.push((name, program, source));
    }
    ensure!(!programs.is_empty(), "{} has no programs", tests.join("guest").display());
    Ok(programs)
}

fn compile(home: &Path, source: &Path, archive: &Path, program: &Path) -> Command {
    let name = source.file_name().unwrap_or_default().to_string_lossy();
    // The two versions of AML's headers have the same names; BeOS's are apart, too.
    let include = home.join(match () {
        () if name.ends_with("_older.c") => "include/aml-0.1",
        () if name.starts_with("be_") => "include/be",
        () => "include",
    });
    let mut command = Command::new("gcc");
    command
        .args(["-std=c11", "-Wall", "-Wextra", "-pedantic", "-Werror", "-g", "-O1", "-D_GNU_SOURCE"])
        .arg("-I")
        .arg(include)
        .arg("-I")
        .arg(home.join("tests/c"))
        .arg(source)
        .arg("-o")
        .arg(program)
        .arg(archive)
        .args(NATIVE_LIBRARIES);
    command
}
