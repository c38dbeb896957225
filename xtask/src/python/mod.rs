//! The Python package: interpreters that are here, environments for them, wheels and source
//! archives.
//!
//! | file | what |
//! |---|---|
//! | `environment.rs` | virtual environments in the target folder, with packages of the versions that `python/requirements` names |
//! | `wheel.rs` | `cargo xtask wheel`: wheel and source archive, by maturin |

mod environment;
mod wheel;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::process::{self, Ran};

pub(crate) use environment::{Environment, Missing};
pub(crate) use wheel::{Builder, Options, main};

/// The oldest Python for which the package is.
pub(crate) const OLDEST: (u32, u32) = (3, 11);
/// The Pythons that are looked for by name, beside whatever `python3` is.
const NAMED: [&str; 3] = ["python3.11", "python3.12", "python3.13"];

/// Prints the version and where the interpreter itself is.
const WHO: &str = "import sys; print(*sys.version_info[:3], sys.implementation.name, sys.executable)";

/// A Python that works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Interpreter {
    pub(crate) path: PathBuf,
    version: (u32, u32, u32),
}

impl Interpreter {
    /// `3.11`, as folders of a Python are called.
    pub(crate) fn minor(&self) -> String {
        format!("{}.{}", self.version.0, self.version.1)
    }

    /// What the program at `path` says that it is, if it runs.
    fn ask(path: &Path) -> Option<Self> {
        let output = Command::new(path).args(["-I", "-c", WHO]).stdin(Stdio::null()).output().ok()?;
        if !output.status.success() {
            return None;
        }
        Self::read(&String::from_utf8(output.stdout).ok()?)
    }

    /// The system's own, for which its packages are.
    pub(crate) fn of_system() -> Option<Self> {
        Self::ask(Path::new("/usr/bin/python3"))
    }

    /// Whether it can import a module.
    pub(crate) fn has(&self, module: &str) -> Result<bool> {
        let mut python = Command::new(&self.path);
        let import = python.args(["-I", "-c", &format!("import {module}")]);
        let output = import.stdin(Stdio::null()).output().context("cannot run Python")?;
        Ok(output.status.success())
    }

    fn read(said: &str) -> Option<Self> {
        let mut words = said.trim_end().splitn(5, ' ');
        let mut number = || words.next()?.parse().ok();
        let version = (number()?, number()?, number()?);
        if words.next()? != "cpython" {
            return None;
        }
        Some(Self { path: words.next()?.into(), version })
    }
}

impl fmt::Display for Interpreter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (major, minor, micro) = self.version;
        write!(f, "Python {major}.{minor}.{micro} ({})", self.path.display())
    }
}

/// The Pythons that are here, in order of their versions, one for each minor version: what PATH
/// has, then what pyenv keeps.
pub(crate) fn interpreters() -> Vec<Interpreter> {
    let mut places: Vec<PathBuf> = ["python3"].into_iter().chain(NAMED).filter_map(process::which).collect();
    places.extend(["python3", "python3.11"].map(|name| Path::new("/usr/bin").join(name)));
    places.extend(of_pyenv());
    let found = places.iter().filter_map(|path| Interpreter::ask(path));
    let mut by_minor = BTreeMap::new();
    for interpreter in found {
        by_minor.entry((interpreter.version.0, interpreter.version.1)).or_insert(interpreter);
    }
    by_minor.into_values().collect()
}

/// pyenv keeps each version in a folder; its programs in PATH start only those that the user has
/// chosen.
fn of_pyenv() -> Vec<PathBuf> {
    let root = std::env::var_os("PYENV_ROOT").map(PathBuf::from);
    let root = root.or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(".pyenv")));
    let folder = root.map(|root| root.join("versions"));
    let entries = folder.and_then(|folder| folder.read_dir().ok()).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.path().join("bin/python3")).collect();
    found.sort();
    found
}

/// Those for which the package is.
pub(crate) fn usable(mut all: Vec<Interpreter>) -> Vec<Interpreter> {
    all.retain(|interpreter| (interpreter.version.0, interpreter.version.1) >= OLDEST);
    all
}

/// The folder of the package's sources.
pub(crate) fn sources() -> PathBuf {
    process::workspace().join("python")
}

/// The folder of all that is made for Python.
fn folder() -> PathBuf {
    process::target_folder().join("python")
}

/// Runs `command` and passes its output on; a failure is an error.
fn command(command: &mut Command, limit: Duration) -> Result<Ran> {
    eprintln!("$ {}", process::shown(command));
    let ran = process::tee(command, Some(limit))?;
    match () {
        () if ran.timed_out => bail!("{} was still running after {limit:?}", process::shown(command)),
        () if !ran.status.success() => bail!("{} failed ({})", process::shown(command), ran.status),
        () => Ok(ran),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interpreters_say_what_they_are() {
        let read = |said: &str| Interpreter::read(said).map(|found| (found.minor(), found.path));
        assert_eq!(read("3 11 2 cpython /a b/python3\n"), Some(("3.11".into(), "/a b/python3".into())));
        assert_eq!(read("3 11 2 pypy /usr/bin/pypy3\n"), None);
        assert_eq!(read("Python 2.7\n"), None);
        assert_eq!(read(""), None);
    }

    #[test]
    fn old_ones_are_left_out() {
        let at = |minor| Interpreter { path: "python3".into(), version: (3, minor, 1) };
        assert_eq!(usable(vec![at(9), at(10), at(11), at(14)]), [at(11), at(14)]);
    }
}
