//! `cargo xtask dist`: what others install who have no Rust: an archive that may be unpacked
//! anywhere, and Debian packages. The same source and toolchain make the same bytes.
//!
//! | file | what |
//! |---|---|
//! | `archive.rs` | the archive, by tar and gzip |
//! | `deb.rs` | the Debian packages, by dpkg-deb |
//! | `depends.rs` | what they depend on, read from the programs themselves |
//! | `notices.rs` | the licences of the crates that are linked in |

mod archive;
mod deb;
mod depends;
mod notices;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;

use crate::{install, process};

pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Builds an archive and Debian packages of command, library, headers, manual pages and
/// completions, into `target/dist`.
///
/// They are reproducible: times are those of the last commit (or SOURCE_DATE_EPOCH), paths of this
/// machine are replaced. The Python package's wheel is one of them if `cargo xtask wheel` has put
/// it there. DEBFULLNAME and DEBEMAIL name the packages' maintainer.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// Where to put them [default: target/dist]
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Take what is built in the target folder, with the paths of this machine in it
    #[arg(long)]
    as_built: bool,
    /// No Debian packages: they need dpkg-deb
    #[arg(long)]
    no_deb: bool,
}

/// The command.
pub(crate) fn main(options: &Options) -> ExitCode {
    let out = options.out.clone().unwrap_or_else(|| process::target_folder().join("dist"));
    let made = if options.as_built { make(&out, !options.no_deb, false) } else { apart(options, &out) };
    match made {
        Ok(made) => {
            made.iter().for_each(|file| println!("{}", file.display()));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("xtask dist: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Makes all of it by a process of its own, whose builds know no path of this machine, in a target
/// folder of their own.
fn apart(options: &Options, out: &Path) -> Result<Vec<PathBuf>> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(".cargo")));
    let home = home.context("neither CARGO_HOME nor HOME says where cargo keeps crates")?;
    let mut flags = std::env::var("RUSTFLAGS").unwrap_or_default();
    for (from, to) in [(home.as_path(), "/cargo"), (process::workspace(), "/areas")] {
        ensure!(
            !from.display().to_string().contains(' '),
            "{} has a blank, as RUSTFLAGS cannot",
            from.display()
        );
        flags += &format!(" --remap-path-prefix={}={to}", from.display());
    }
    let mut command = Command::new(std::env::current_exe().context("cannot find out which program this is")?);
    command.args(["dist", "--as-built", "--out"]).arg(std::path::absolute(out)?);
    if options.no_deb {
        command.arg("--no-deb");
    }
    command.env("RUSTFLAGS", flags.trim()).env("CARGO_TARGET_DIR", process::target_folder().join("remapped"));
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "building failed ({})", output.status);
    Ok(String::from_utf8(output.stdout)?.lines().map(PathBuf::from).collect())
}

/// What everything is made of: the installed tree, below `usr`, and what is written into packages.
struct Tree {
    /// As it is below `/`.
    root: PathBuf,
    /// Where packages are put together.
    work: PathBuf,
    /// Seconds since 1970, which all files have.
    epoch: u64,
    notices: String,
}

/// Makes all of it from what is built, and gives the files. What else is in the folder stays there.
pub(crate) fn make(out: &Path, with_deb: bool, flight_of_tests: bool) -> Result<Vec<PathBuf>> {
    let work = out.join("work");
    remove(&work)?;
    let root = work.join("root");
    install::install(&install::Options {
        prefix: "/usr".into(),
        destdir: Some(root.clone()),
        no_flight: false,
        flight_of_tests,
    })?;
    strip(&root)?;
    let tree = Tree { root, work, epoch: epoch()?, notices: notices::text()? };
    let mut made = vec![archive::make(&tree, out)?];
    if with_deb {
        made.extend(deb::make(&tree, out)?);
    }
    made.extend(python(out)?);
    made.push(sums(out, &made)?);
    remove(&tree.work)?;
    Ok(made)
}

/// The time of the last commit, unless a build service says another one.
pub(crate) fn epoch() -> Result<u64> {
    if let Some(said) = std::env::var_os("SOURCE_DATE_EPOCH") {
        let said = said.to_string_lossy();
        return said
            .parse()
            .with_context(|| format!("SOURCE_DATE_EPOCH is {said:?}, which is not a number of seconds"));
    }
    let mut command = Command::new("git");
    command.arg("-C").arg(process::workspace()).args(["log", "-1", "--format=%ct"]);
    let said = output(&mut command).context(
        "no time for the files: git does not report that of the last commit; set SOURCE_DATE_EPOCH",
    )?;
    Ok(said.trim().parse()?)
}

/// Takes out what only debuggers read: most of the size, and the paths that it was built in.
fn strip(root: &Path) -> Result<()> {
    for (file, how) in [
        ("usr/bin/areas".to_owned(), "--strip-all"),
        ("usr/bin/areas-flight".to_owned(), "--strip-all"),
        (format!("usr/lib/libareas.so.{VERSION}"), "--strip-unneeded"),
        (format!("usr/lib/libareas-cut.so.{VERSION}"), "--strip-unneeded"),
        ("usr/lib/libareas.a".to_owned(), "--strip-debug"),
    ] {
        let mut command = Command::new("strip");
        output(command.args(["--enable-deterministic-archives", how]).arg(root.join(file)))?;
    }
    Ok(())
}

/// The Python package's wheel and source archive of this version, where `cargo xtask wheel` has put
/// them.
fn python(out: &Path) -> Result<Vec<PathBuf>> {
    let (wheel, source) = (format!("areas-{VERSION}-"), format!("areas-{VERSION}.tar.gz"));
    let mut found = Vec::new();
    for entry in fs::read_dir(out).with_context(|| format!("cannot read {}", out.display()))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name == source || name.starts_with(&wheel) && name.ends_with(".whl") {
            found.push(out.join(name));
        }
    }
    if found.is_empty() {
        eprintln!(
            "dist: {} has no wheel of the Python package: `cargo xtask wheel` makes one",
            out.display()
        );
    }
    found.sort_unstable();
    Ok(found)
}

fn sums(out: &Path, made: &[PathBuf]) -> Result<PathBuf> {
    let names = made.iter().filter_map(|file| file.file_name());
    let said = output(Command::new("sha256sum").current_dir(out).args(names))?;
    let file = out.join("SHA256SUMS");
    fs::write(&file, said).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(file)
}

/// Runs a tool that says nothing unless something is wrong; gives its standard output.
fn output(command: &mut Command) -> Result<String> {
    let shown = process::shown(command);
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot run {shown}"))?;
    if !output.status.success() {
        bail!("{shown} failed ({}): {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8(output.stdout)?)
}

fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

/// Copies files and links, with the folders above them.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let folder = to.parent().context("a file is in a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let what = || format!("cannot copy {} to {}", from.display(), to.display());
    if from.is_symlink() {
        return std::os::unix::fs::symlink(fs::read_link(from)?, to).with_context(what);
    }
    fs::copy(from, to).map(|_| ()).with_context(what)
}

/// All files and links below a folder, as paths from there, in order.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let (mut found, mut waiting) = (Vec::new(), vec![PathBuf::new()]);
    while let Some(next) = waiting.pop() {
        let here = folder.join(&next);
        for entry in fs::read_dir(&here).with_context(|| format!("cannot read {}", here.display()))? {
            let entry = entry?;
            let path = next.join(entry.file_name());
            if entry.file_type()?.is_dir() { waiting.push(path) } else { found.push(path) }
        }
    }
    found.sort_unstable();
    Ok(found)
}
