//! Every header can be included alone, in any order and twice, in C11 and C++17, without a warning; `areas.h` is what its source
//! says.

use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};

use super::toolchain::{Language, Toolchain, include_folders};
use super::{Outcome, Test, crate_folder, files_below};

/// One test a header and language.
pub(super) fn tests(_: &Toolchain) -> Result<Vec<Test>> {
    let include = crate_folder().join("include");
    let mut tests =
        vec![Test::new("header areas.h is as generated".into(), |_| Outcome::of(crate::headers::compare()))];
    for header in files_below(include.clone(), &["h"])? {
        let path = header.strip_prefix(&include)?.to_owned();
        for language in [Language::C11, Language::Cpp17] {
            let name = format!("header {} in {}", path.display(), language.name());
            let path = path.clone();
            tests.push(Test::new(name, move |_| Outcome::of(alone(&path, language))));
        }
    }
    Ok(tests)
}

/// Compiles a file that includes nothing but the header, twice. `path` is its path below `include`.
fn alone(path: &Path, language: Language) -> Result<()> {
    let interface = match path.components().next() {
        Some(first) if first.as_os_str() == "be" => "be",
        Some(first) if first.as_os_str() == "aml-0.1" => "aml-0.1",
        _ => "areas",
    };
    let folders = include_folders(interface)?;
    let mut command = language.compiler();
    for folder in &folders {
        command.arg("-I").arg(folder);
    }
    let named = match interface {
        "areas" => path,
        folder => path.strip_prefix(folder)?,
    };
    let kind = if language == Language::C11 { "c" } else { "c++" };
    let mut child = command
        .args(["-fsyntax-only", "-x", kind, "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot run the compiler")?;
    let line = format!("#include <{}>\n", named.display());
    let text = format!("{line}{line}int used;\n");
    child.stdin.take().context("the pipe that was asked for")?.write_all(text.as_bytes())?;
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
