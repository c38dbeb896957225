//! The programs, built: the library and the command by cargo, those of MPI with their own
//! Makefiles, as their users do.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::{process, selection};

/// What all tests use.
pub(super) struct Built {
    /// The command.
    pub(super) areas: PathBuf,
    pub(super) spread: PathBuf,
    pub(super) windows: PathBuf,
    pub(super) hooks: PathBuf,
    /// For `LD_PRELOAD`.
    pub(super) spoil: PathBuf,
    /// For `PYTHONPATH`.
    pub(super) python: PathBuf,
    /// Where tests work.
    pub(super) work: PathBuf,
}

/// Strict, and never a warning.
const FLAGS: &str = "-O2 -Werror -pedantic";

impl Built {
    /// As the tests have it.
    pub(super) fn build() -> Result<Self> {
        Self::of(selection::workspace())
    }

    /// With optimised libraries: for what is timed.
    pub(super) fn optimised() -> Result<Self> {
        let mut command = selection::optimised("areas-capi");
        command.args(["--package", "areas-py"]);
        Self::of(command)
    }

    fn of(build: Command) -> Result<Self> {
        let files = by_cargo(build)?;
        let find = |end: &str| {
            let file = files.iter().find(|file| file.to_string_lossy().ends_with(end));
            file.cloned().with_context(|| format!("cargo built no {end}"))
        };
        let (shared, python, areas) = (find("/libareas.so")?, find("/libareas_py.so")?, find("/areas")?);
        let work = process::target_folder().join("mpi-tests");
        let _ = fs::remove_dir_all(&work);
        fs::create_dir_all(&work).with_context(|| format!("cannot make {}", work.display()))?;
        package(&work, &shared)?;
        let root = process::workspace();
        let spread = made(&work, &root.join("reach/mpi"), "areas-spread")?;
        let windows = made(&work, &root.join("crates/areas-capi/examples/mpi"), "windows")?;
        let own = root.join("xtask/src/test/mpi");
        let hooks = compiled(&work, &own.join("hooks.c"), "hooks", &shared, &["-ldl"])?;
        let spoil =
            compiled(&work, &own.join("spoil.c"), "spoil.so", &shared, &["-shared", "-fPIC", "-ldl"])?;
        let python = as_package(&work, &python)?;
        Ok(Self { areas, spread, windows, hooks, spoil, python, work })
    }
}

/// The library, the command and the Python module: the files that cargo names.
fn by_cargo(mut command: Command) -> Result<Vec<PathBuf>> {
    command.arg("--message-format=json-render-diagnostics");
    eprintln!("$ {}", process::shown(&command));
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "{} failed ({})", process::shown(&command), output.status);
    let messages = String::from_utf8_lossy(&output.stdout);
    Ok(messages.lines().flat_map(files_in).collect())
}

/// The files in one of cargo's messages.
fn files_in(line: &str) -> Vec<PathBuf> {
    let Ok(message) = serde_json::from_str::<Value>(line) else { return Vec::new() };
    let files = message["filenames"].as_array().into_iter().flatten();
    files.filter_map(|file| file.as_str().map(PathBuf::from)).collect()
}

/// What `pkg-config areas` is to answer.
fn package(work: &Path, shared: &Path) -> Result<()> {
    let library = shared.parent().unwrap_or(Path::new("."));
    let include = process::workspace().join("crates/areas-capi/include");
    let text = format!(
        "Name: areas\nDescription: as it was built here\nVersion: {}\nCflags: -I{}\nLibs: -L{library} -lareas -Wl,-rpath,{library}\n",
        env!("CARGO_PKG_VERSION"),
        include.display(),
        library = library.display()
    );
    fs::write(work.join("areas.pc"), text).context("cannot write areas.pc")
}

/// Runs `make` in a copy of a folder: it builds where it stands.
fn made(work: &Path, from: &Path, program: &str) -> Result<PathBuf> {
    let folder = work.join(format!("{program}-made"));
    fs::create_dir_all(&folder)?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let path = entry?.path();
        fs::copy(&path, folder.join(path.file_name().unwrap_or_default()))?;
    }
    let mut make = Command::new("make");
    make.arg("-C")
        .arg(&folder)
        .arg(program)
        .env("PKG_CONFIG_PATH", work)
        .env("CFLAGS", FLAGS)
        .env_remove("MAKEFLAGS");
    quiet(&mut make)?;
    Ok(folder.join(program))
}

/// One file, by `mpicc`.
fn compiled(work: &Path, source: &Path, name: &str, shared: &Path, more: &[&str]) -> Result<PathBuf> {
    let program = work.join(name);
    let library = shared.parent().unwrap_or(Path::new("."));
    let mut command = Command::new("mpicc");
    command.args(["-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra"]).args(FLAGS.split(' '));
    command
        .arg("-I")
        .arg(process::workspace().join("crates/areas-capi/include"))
        .arg(source)
        .arg("-o")
        .arg(&program);
    command.arg("-L").arg(library).arg("-lareas").arg(format!("-Wl,-rpath,{}", library.display())).args(more);
    quiet(&mut command)?;
    Ok(program)
}

/// The Python package with the module that was built here.
fn as_package(work: &Path, module: &Path) -> Result<PathBuf> {
    let (from, folder) = (process::workspace().join("python/areas"), work.join("python"));
    let package = folder.join("areas");
    fs::create_dir_all(&package)?;
    for entry in fs::read_dir(&from)? {
        let path = entry?.path();
        if path.is_file() {
            fs::copy(&path, package.join(path.file_name().unwrap_or_default()))?;
        }
    }
    fs::copy(module, package.join("_areas.abi3.so"))?;
    Ok(folder)
}

fn quiet(command: &mut Command) -> Result<()> {
    eprintln!("$ {}", process::shown(command));
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {}", process::shown(command)))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{} failed ({})\n{said}", process::shown(command), output.status);
    Ok(())
}
