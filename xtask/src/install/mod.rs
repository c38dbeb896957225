//! `cargo xtask install`: the library, its headers, the command and what it starts for other
//! machines, manual pages and completions, where other programs look for them.
//!
//! | file | what |
//! |---|---|
//! | `packages.rs` | what pkg-config and CMake know |

mod packages;

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, ensure};
use clap::Args;

use crate::{process, selection};

/// The version of everything here.
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// What programs that are linked with the library ask for when they start. It changes with what
/// `abi/` promises.
const SONAME: &str = "libareas.so.0";
/// The object that notifies the library at once of what a program unmaps, for those who want it.
const CUT_SONAME: &str = "libareas-cut.so.0";

/// Builds and installs: libraries, headers, pkg-config and CMake files, the command, manual pages,
/// completions.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// Where all of it will be used
    #[arg(long, default_value = "/usr/local", value_name = "FOLDER")]
    pub(crate) prefix: PathBuf,
    /// Where that is now, for those who make packages: files go to FOLDER/PREFIX, and name PREFIX
    #[arg(long, value_name = "FOLDER")]
    pub(crate) destdir: Option<PathBuf>,
    /// Without areas-flight, which `areas serve` and `areas fetch` start: 130 crates fewer are
    /// built
    #[arg(long)]
    pub(crate) no_flight: bool,
    /// With the areas-flight that the tests have built, which is not optimised: for tests of where
    /// things are, as it takes minutes to build another one.
    #[arg(skip)]
    pub(crate) flight_of_tests: bool,
}

/// The command.
pub(crate) fn main(options: &Options) -> ExitCode {
    match install(options) {
        Ok(place) => {
            println!("installed in {}", place.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("xtask install: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Installs, and says where.
pub(crate) fn install(options: &Options) -> Result<PathBuf> {
    let prefix = std::path::absolute(&options.prefix)?;
    let root = match &options.destdir {
        Some(folder) => std::path::absolute(folder)?.join(prefix.strip_prefix("/").unwrap_or(&prefix)),
        None => prefix.clone(),
    };
    library(&root)?;
    headers(&root)?;
    pkg_config(&root, &prefix)?;
    for (name, text) in packages::cmake() {
        write(&root.join("lib/cmake/Areas").join(name), &text)?;
    }
    command(&root)?;
    if options.flight_of_tests {
        run(&mut selection::workspace())?;
        put_program("areas-flight", "debug", &root)?;
    } else if !options.no_flight {
        program("areas-flight", &root)?;
    }
    Ok(root)
}

/// Shows pkg-config what is below `root` now, and will be used below `prefix`.
pub(crate) fn pkg_config(root: &Path, prefix: &Path) -> Result<()> {
    let folder = root.join("lib/pkgconfig");
    packages::pkg_config(prefix).iter().try_for_each(|(name, text)| write(&folder.join(name), text))
}

/// The library, shared and static, and what interposes munmap.
fn library(root: &Path) -> Result<()> {
    let built = shared("areas-capi", SONAME)?;
    let folder = root.join("lib");
    put_shared(&built.join("libareas.so"), &folder, "libareas", SONAME)?;
    copy(&built.join("libareas.a"), &folder.join("libareas.a"), 0o644)?;
    let built = shared("areas-cut", CUT_SONAME)?;
    put_shared(&built.join("libareas_cut.so"), &folder, "libareas-cut", CUT_SONAME)
}

/// Builds a shared library apart from the one in `target/release`, which has no SONAME, so that
/// programs find it where it is built. The folder in which it is.
fn shared(package: &str, soname: &str) -> Result<PathBuf> {
    let soname = format!("link-arg=-Wl,-soname,{soname}");
    let args =
        ["rustc", "--profile", "installed", "--package", package, "--lib", "--locked", "--", "-C", &soname];
    run(&mut process::cargo(args))?;
    Ok(process::target_folder().join("installed"))
}

/// Puts a shared library in place, under its full name and those by which it is found.
fn put_shared(built: &Path, folder: &Path, name: &str, soname: &str) -> Result<()> {
    let full = format!("{name}.so.{VERSION}");
    copy(built, &folder.join(&full), 0o755)?;
    link(&full, &folder.join(soname))?;
    link(soname, &folder.join(format!("{name}.so")))
}

/// Our own header beside those of others; those of the two other interfaces apart, so that only who
/// asks for them gets them.
fn headers(root: &Path) -> Result<()> {
    let from = process::workspace().join("crates/areas-capi/include");
    let to = root.join("include");
    copy(&from.join("areas.h"), &to.join("areas.h"), 0o644)?;
    copy(&from.join("aml.h"), &to.join("areas/aml.h"), 0o644)?;
    for folder in ["aml", "aml-0.1", "be"] {
        tree(&from.join(folder), &to.join("areas").join(folder))?;
    }
    Ok(())
}

/// The command, and what it writes of itself.
fn command(root: &Path) -> Result<()> {
    let program = program("areas", root)?;
    let pages = root.join("share/man/man1");
    make(&pages)?;
    run(Command::new(&program).arg("man").arg(&pages))?;
    let completions = [
        ("bash", "share/bash-completion/completions/areas"),
        ("zsh", "share/zsh/site-functions/_areas"),
        ("fish", "share/fish/vendor_completions.d/areas.fish"),
    ];
    for (shell, file) in completions {
        let mut command = Command::new(&program);
        let output = command.args(["completions", shell]).output();
        let output = output.with_context(|| format!("cannot run {}", process::shown(&command)))?;
        ensure!(output.status.success(), "{} failed ({})", process::shown(&command), output.status);
        write(&root.join(file), &String::from_utf8(output.stdout)?)?;
    }
    Ok(())
}

/// Builds a program, and puts it in place.
fn program(name: &str, root: &Path) -> Result<PathBuf> {
    let package = if name == "areas" { "areas-cli" } else { name };
    run(&mut process::cargo(["build", "--release", "--package", package, "--locked"]))?;
    put_program(name, "release", root)
}

fn put_program(name: &str, profile: &str, root: &Path) -> Result<PathBuf> {
    let program = root.join("bin").join(name);
    copy(&process::target_folder().join(profile).join(name), &program, 0o755)?;
    Ok(program)
}

fn run(command: &mut Command) -> Result<()> {
    eprintln!("$ {}", process::shown(command));
    let status = command.status().with_context(|| format!("cannot run {}", process::shown(command)))?;
    ensure!(status.success(), "{} failed ({status})", process::shown(command));
    Ok(())
}

fn make(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))
}

/// Puts a file where another may be in use: the old one stays with those who have it open.
fn copy(from: &Path, to: &Path, mode: u32) -> Result<()> {
    make(to.parent().unwrap_or(to))?;
    let new = to.with_extension("new");
    let what = || format!("cannot copy {} to {}", from.display(), to.display());
    fs::copy(from, &new).with_context(what)?;
    fs::set_permissions(&new, Permissions::from_mode(mode)).with_context(what)?;
    fs::rename(&new, to).with_context(what)
}

fn write(to: &Path, text: &str) -> Result<()> {
    make(to.parent().unwrap_or(to))?;
    fs::write(to, text).with_context(|| format!("cannot write {}", to.display()))
}

fn link(to: &str, at: &Path) -> Result<()> {
    let _ = fs::remove_file(at);
    symlink(to, at).with_context(|| format!("cannot link {}", at.display()))
}

fn tree(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let path = entry?.path();
        let there = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() { tree(&path, &there)? } else { copy(&path, &there, 0o644)? }
    }
    Ok(())
}
