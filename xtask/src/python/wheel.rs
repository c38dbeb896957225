//! `cargo xtask wheel`: a wheel for every Python from 3.11 on (abi3), and the source archive from
//! which pip builds another one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;

use super::{Environment, Interpreter, Missing, command, folder, interpreters, sources, usable};
use crate::process;

/// For a build of everything on a slow machine.
const LIMIT: Duration = Duration::from_secs(1800);

/// Builds a wheel of the Python package and its source archive, and says where they are.
///
/// The wheel's tag is what its machine code allows: the oldest `manylinux` whose libraries it asks
/// for, else `linux`. Needs Python 3.11 or newer with venv, and a registry of packages for maturin.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// Where to put both [default: dist, in the target folder]
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

/// The command.
pub(crate) fn main(options: &Options) -> ExitCode {
    match run(options) {
        Ok(files) => {
            files.iter().for_each(|file| println!("{}", file.display()));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("xtask wheel: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<Vec<PathBuf>> {
    let Some(python) = usable(interpreters()).into_iter().next() else {
        bail!("there is no Python 3.11 or newer here: install python3 and python3-venv");
    };
    let builder = match Builder::new(&python)? {
        Ok(builder) => builder,
        Err(Missing(why)) => bail!("{why}"),
    };
    let out = match &options.out {
        Some(folder) => std::path::absolute(folder)?,
        // Not wheels: maturin leaves there what pip has it build.
        None => process::target_folder().join("dist"),
    };
    let wheel = builder.wheel(&out, &["--strip"])?;
    let archive = builder.archive(&out)?;
    // What cannot be built from is not a source archive.
    builder.wheel_from(&archive)?;
    Ok(vec![wheel, archive])
}

/// maturin, in an environment of its own.
#[derive(Debug)]
pub(crate) struct Builder(Environment);

impl Builder {
    pub(crate) fn new(python: &Interpreter) -> Result<Result<Self, Missing>> {
        Ok(Environment::prepare("build", python, &["build"])?.map(Self))
    }

    /// The wheel, alone in `out` with its name's beginning.
    pub(crate) fn wheel(&self, out: &Path, more: &[&str]) -> Result<PathBuf> {
        remove(out, ".whl")?;
        let mut maturin = self.maturin("build");
        maturin.args(["--release", "--locked", "--out"]).arg(out).args(more);
        maturin.arg("--interpreter").arg(self.0.program("python"));
        command(&mut maturin, LIMIT)?;
        let wheel = only(out, ".whl")?;
        self.check_tag(&wheel)?;
        Ok(wheel)
    }

    /// The source archive.
    pub(crate) fn archive(&self, out: &Path) -> Result<PathBuf> {
        remove(out, ".tar.gz")?;
        command(self.maturin("sdist").arg("--out").arg(out), LIMIT)?;
        only(out, ".tar.gz")
    }

    /// Builds a wheel as pip does on a machine that has only the archive. It is unpacked to the
    /// same place each time, so that cargo knows again what it has built.
    pub(crate) fn wheel_from(&self, archive: &Path) -> Result<PathBuf> {
        let place = folder().join("from-archive");
        let _ = fs::remove_dir_all(&place);
        fs::create_dir_all(&place).with_context(|| format!("cannot make {}", place.display()))?;
        let mut tar = Command::new("tar");
        tar.arg("--extract").arg("--file").arg(archive).arg("--directory").arg(&place);
        command(tar.arg("--strip-components=1"), LIMIT)?;
        let out = folder().join("wheels-from-archive");
        remove(&out, ".whl")?;
        let mut pip = self.0.pip("wheel");
        pip.args(["--no-deps", "--no-build-isolation", "--wheel-dir"]).arg(&out).arg(&place);
        command(self.environment(&mut pip), LIMIT)?;
        only(&out, ".whl")
    }

    fn maturin(&self, verb: &str) -> Command {
        let mut maturin = Command::new(self.0.program("maturin"));
        maturin.arg(verb).current_dir(sources());
        self.environment(&mut maturin);
        maturin
    }

    /// The same target folder as all else, and maturin where a build that pip starts finds it.
    fn environment<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let own = [self.0.program("")].into_iter().chain(std::env::split_paths(&path));
        if let Ok(path) = std::env::join_paths(own) {
            command.env("PATH", path);
        }
        process::without_our_package(command).env("CARGO_TARGET_DIR", process::target_folder())
    }

    /// The tag must be what auditwheel, which reads the machine code by itself, calls true.
    fn check_tag(&self, wheel: &Path) -> Result<()> {
        let name = file_name(wheel);
        ensure!(name.contains("-cp311-abi3-"), "{name} is not for every Python from 3.11 on (abi3)");
        let Some(tag) = platform(&name) else { bail!("{name} names no platform") };
        if tag.starts_with("linux_") {
            return Ok(());
        }
        let mut audit = Command::new(self.0.program("auditwheel"));
        let ran = command(audit.arg("show").arg(wheel), LIMIT)?;
        let said = ran.output.split_whitespace().collect::<Vec<_>>().join(" ");
        ensure!(said.contains(&format!("\"{tag}\"")), "auditwheel does not call {tag} true: {said}");
        Ok(())
    }
}

/// The oldest platform that a wheel's name says it runs on.
fn platform(name: &str) -> Option<&str> {
    let tags = name.strip_suffix(".whl")?.rsplit('-').next()?;
    tags.split('.').next().filter(|tag| tag.contains("linux"))
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// What is in `out` under our name, and ends so.
fn ours(out: &Path, end: &str) -> Result<Vec<PathBuf>> {
    if !out.exists() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(out).with_context(|| format!("cannot read {}", out.display()))? {
        let path = entry?.path();
        let name = file_name(&path);
        if name.starts_with("areas-") && name.ends_with(end) {
            found.push(path);
        }
    }
    Ok(found)
}

/// Takes away what an earlier build left.
fn remove(out: &Path, end: &str) -> Result<()> {
    for file in ours(out, end)? {
        fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))?;
    }
    Ok(())
}

fn only(out: &Path, end: &str) -> Result<PathBuf> {
    let mut found = ours(out, end)?;
    match (found.pop(), found.is_empty()) {
        (Some(file), true) => Ok(file),
        (last, _) => bail!("{} is to have one areas-*{end}, but: {last:?} {found:?}", out.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_platform_is_in_the_name() {
        let check = |name: &str, expected: Option<&str>| assert_eq!(platform(name), expected, "{name}");
        check("areas-0.1.0-cp311-abi3-linux_x86_64.whl", Some("linux_x86_64"));
        check(
            "areas-0.1.0-cp311-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
            Some("manylinux_2_17_x86_64"),
        );
        check("areas-0.1.0-py3-none-any.whl", None);
        check("areas-0.1.0.tar.gz", None);
    }
}
