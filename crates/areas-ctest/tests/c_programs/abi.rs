//! What was promised to programs that are linked already: the names that the library exports, and
//! how its structures lie in memory. Both are written down in `abi/`, by people: a change there is
//! a decision.
//!
//! For each interface NAME, `abi/NAME.symbols.txt` has its symbols; `abi/NAME.c` prints the layouts
//! that `abi/NAME.layout.txt` has. `abi/areas-cut.interposed.txt` has those of `libareas-cut.so`:
//! one too many would take a function away from every program that has it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use areas_ctest::folders::{capi, files_below};
use areas_ctest::toolchain::{Linked, Toolchain, interfaces, quiet, started, watch};

use super::{Outcome, Test};

/// One test for the symbols, and one an interface that has layouts.
pub(super) fn tests() -> Vec<Test> {
    let mut tests = vec![
        Test::new("abi: symbols".into(), |toolchain| Outcome::of(symbols(&toolchain.shared, ".symbols.txt"))),
        Test::new("abi: symbols of areas-cut".into(), |toolchain| {
            Outcome::of(symbols(&toolchain.cut, ".interposed.txt"))
        }),
    ];
    for interface in interfaces() {
        let source = capi().join(format!("abi/{interface}.c"));
        if source.exists() {
            let name = format!("abi: layout of {interface}");
            tests.push(Test::new(name, move |toolchain| Outcome::of(layout(toolchain, &source, interface))));
        }
    }
    tests
}

/// A library exports what the files whose names end so have, and nothing else.
fn symbols(library: &Path, end: &str) -> Result<()> {
    let exported = quiet(Command::new("nm").args(["-D", "--defined-only", "--format=posix"]).arg(library))?;
    let exported: BTreeSet<&str> =
        exported.lines().filter_map(|line| line.split_ascii_whitespace().next()).collect();
    let mut written = String::new();
    for file in files_below(capi().join("abi"), &["txt"])? {
        if file.to_string_lossy().ends_with(end) {
            written += &fs::read_to_string(&file)?;
        }
    }
    let written: BTreeSet<&str> =
        written.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let list =
        |names: Vec<&&str>| names.iter().map(|name| format!("\n  {name}")).collect::<Vec<_>>().concat();
    let more = list(exported.difference(&written).collect());
    let fewer = list(written.difference(&exported).collect());
    ensure!(more.is_empty(), "exported, and not in abi/*{end}:{more}");
    ensure!(fewer.is_empty(), "in abi/*{end}, and not exported:{fewer}");
    Ok(())
}

/// The structures of an interface lie in memory as is written down.
fn layout(toolchain: &Toolchain, source: &Path, interface: &str) -> Result<()> {
    let program = toolchain.program(source, interface, Linked::Shared, "layout")?;
    let log = program.with_extension("log");
    let (status, said) = watch(&mut started(&program), &log, Duration::from_secs(60))?;
    ensure!(status.is_some_and(|status| status.success()), "{said}({status:?})");
    let file = capi().join(format!("abi/{interface}.layout.txt"));
    let written = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    for (line, expected) in said.lines().zip(written.lines()) {
        ensure!(line == expected, "the layout has changed: {line:?} instead of {expected:?}");
    }
    ensure!(said == written, "the layouts printed are not those of {}:\n{said}", file.display());
    Ok(())
}
