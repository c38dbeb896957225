//! Virtual environments in the target folder. One is kept as long as its Python and what is wanted
//! in it stay the same.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::{Interpreter, command, folder, sources};

/// For packages that come over a slow line.
const LIMIT: Duration = Duration::from_secs(900);
/// For a question to pip.
const ASK_LIMIT: Duration = Duration::from_secs(120);

/// A virtual environment.
#[derive(Debug)]
pub(crate) struct Environment {
    path: PathBuf,
    pub(crate) interpreter: Interpreter,
    /// Whether it has what is installed for the interpreter itself, too.
    over_system: bool,
}

/// Why there is none, where that is not an error.
#[derive(Debug)]
pub(crate) struct Missing(pub(crate) String);

impl Environment {
    /// An environment of this name in which all of `python/requirements/NAME.txt` is installed, or
    /// why there cannot be one here.
    pub(crate) fn prepare(
        name: &str,
        interpreter: &Interpreter,
        requirements: &[&str],
    ) -> Result<Result<Self, Missing>> {
        Self::new(name, interpreter, false).made_of(requirements)
    }

    /// The same over what the system has installed for its own Python: packages that are too large
    /// to be fetched for each environment.
    pub(crate) fn prepare_over_system(
        name: &str,
        interpreter: &Interpreter,
        requirements: &[&str],
    ) -> Result<Result<Self, Missing>> {
        Self::new(name, interpreter, true).made_of(requirements)
    }

    fn new(name: &str, interpreter: &Interpreter, over_system: bool) -> Self {
        Self { path: folder().join(name), interpreter: interpreter.clone(), over_system }
    }

    fn made_of(self, requirements: &[&str]) -> Result<Result<Self, Missing>> {
        let environment = self;
        let interpreter = &environment.interpreter;
        let files: Vec<PathBuf> = requirements
            .iter()
            .map(|name| sources().join("requirements").join(format!("{name}.txt")))
            .collect();
        let wanted = environment.wanted(&files)?;
        let stamp = environment.path.join("made-of");
        if fs::read_to_string(&stamp).is_ok_and(|made_of| made_of == wanted) {
            return Ok(Ok(environment));
        }
        if !interpreter.has("ensurepip")? {
            let why = format!("{interpreter} has no module ensurepip (Debian: python3-venv)");
            return Ok(Err(Missing(why)));
        }
        environment.make()?;
        for file in &files {
            let mut install = environment.pip("install");
            install.arg("--requirement").arg(file);
            if let Err(error) = command(&mut install, LIMIT) {
                if environment.has_registry() {
                    return Err(error);
                }
                return Ok(Err(Missing("pip finds no registry of packages here".into())));
            }
        }
        fs::write(&stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))?;
        Ok(Ok(environment))
    }

    /// An empty one, made again.
    pub(crate) fn empty(name: &str, interpreter: &Interpreter) -> Result<Self> {
        let environment = Self::new(name, interpreter, false);
        environment.make()?;
        Ok(environment)
    }

    fn make(&self) -> Result<()> {
        let _ = fs::remove_dir_all(&self.path);
        let mut venv = Command::new(&self.interpreter.path);
        venv.args(["-I", "-m", "venv"]);
        if self.over_system {
            venv.arg("--system-site-packages");
        }
        command(venv.arg(&self.path), ASK_LIMIT)?;
        Ok(())
    }

    /// What it is called.
    pub(crate) fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// A program of the environment.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.path.join("bin").join(name)
    }

    /// A command of pip's: without questions, and with no word but of what went wrong.
    pub(crate) fn pip(&self, verb: &str) -> Command {
        let mut pip = Command::new(self.program("python"));
        pip.args(["-m", "pip", verb, "--quiet", "--no-input", "--disable-pip-version-check"]);
        pip
    }

    /// Installs a wheel, whose dependencies are there, in place of what was installed before.
    pub(crate) fn install(&self, wheel: &Path) -> Result<()> {
        let mut pip = self.pip("install");
        command(pip.args(["--no-deps", "--force-reinstall"]).arg(wheel), ASK_LIMIT)?;
        Ok(())
    }

    /// Whether pip can get anything at all: a package that every registry has.
    fn has_registry(&self) -> bool {
        let mut pip = self.pip("download");
        pip.args(["--no-deps", "--no-cache-dir", "--retries", "1", "--dest"]);
        command(pip.arg(folder().join("probe")).arg("pip"), ASK_LIMIT).is_ok()
    }

    /// What it is made of: another Python, or other requirements, and it is made again.
    fn wanted(&self, files: &[PathBuf]) -> Result<String> {
        let mut wanted = format!("{}\n", self.interpreter);
        for file in files {
            wanted += &fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        }
        Ok(wanted)
    }
}
