//! `cargo xtask fresh`: the README's commands on a machine that is really new. A Debian root is
//! made, with the Rust toolchain, gcc and nothing else; a clone of the committed tree is put into
//! it; and the commands run there, in a plain environment, every step to its end. So no tool of our
//! own machines is taken for granted.
//!
//! | file | what |
//! |---|---|
//! | `root.rs` | the root: made once by debootstrap, copied for each run |
//! | `machine.rs` | what of this machine's settings a new one would have too: package sources, proxies, certificates |
//! | `enter.sh` | the namespaces' first process: mounts, and one command |
//!
//! All mounts are in a mount namespace that the command's processes alone have, and those die with
//! this one: there is nothing to unmount, however it ends.

mod machine;
mod root;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use areas_ctest::readme;
use clap::Args;

use crate::{dist, process};
pub(crate) use root::Root;
use root::TOOLCHAIN;

const ENTER: &str = include_str!("enter.sh");
/// Where the clone is, in the root.
const CLONE: &str = "root/areas";

/// Runs the README's commands in a new Debian root that has the Rust toolchain, gcc and nothing
/// else. Needs root.
///
/// What is not committed is not in it. The first run makes the root with debootstrap (a minute) and
/// keeps it for later ones, in the target folder. Package sources, proxies and certificates are
/// this machine's. A whole run takes as long as `cargo xtask test` on a new clone: an hour on two
/// cores. A run that is interrupted leaves no mounts; the next run removes its folder.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// Only this step of `cargo xtask test`, after the set-up
    #[arg(long, value_name = "STEP")]
    step: Option<String>,
    /// No guests
    #[arg(long)]
    no_vm: bool,
    /// Instead of the README's commands: make packages, have apt install them, build and run
    /// programs with what they bring
    #[arg(long, conflicts_with_all = ["step", "no_vm", "more"])]
    packages: bool,
    /// A plain chroot, as some build services have, where no namespaces can be made
    #[arg(long)]
    chroot: bool,
    /// Keep the root, for --resume, and say where it is
    #[arg(long)]
    keep: bool,
    /// Go on in the root that --keep left, with what is committed now
    #[arg(long)]
    resume: bool,
    /// Make the root of this Debian release [default: this machine's, or bookworm]
    #[arg(long, value_name = "NAME")]
    suite: Option<String>,
    /// Make the root by debootstrap again, instead of copying the last one
    #[arg(long)]
    renew: bool,
    /// More arguments for `cargo xtask test`
    #[arg(last = true, value_name = "ARGUMENT")]
    more: Vec<String>,
}

/// The command.
pub(crate) fn main(options: &Options) -> ExitCode {
    match run(options) {
        Ok(failed) if failed.is_empty() => ExitCode::SUCCESS,
        Ok(failed) => {
            eprintln!("xtask fresh: failed: {}", failed.join("; "));
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("xtask fresh: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The commands that failed.
fn run(options: &Options) -> Result<Vec<String>> {
    ensure!(machine::is_root(), "{NOT_ROOT}: run it as root");
    let suite = options.suite.clone().unwrap_or_else(machine::suite);
    let root = Root::prepare(&suite, options.renew, options.resume, options.keep)?;
    clone(&root.path().join(CLONE), options.resume)?;
    let commands = if options.packages {
        packages(&root)?
    } else {
        wanted(&fs::read_to_string(root.path().join(CLONE).join("README.md"))?, options)?
    };
    follow(&root, options.chroot, &toolchain()?, &commands)
}

/// Runs commands in the root, with the toolchain of that folder; those that failed.
fn follow(root: &Root, chroot: bool, toolchain: &Path, commands: &[String]) -> Result<Vec<String>> {
    let mut failed = Vec::new();
    for command in commands {
        eprintln!("==> fresh: {command}");
        let start = Instant::now();
        let status = enter(root, chroot, toolchain, command).status().context("cannot run unshare")?;
        let seconds = start.elapsed().as_secs_f64();
        if status.success() {
            eprintln!("<== fresh: {command}: passed in {seconds:.0} s");
        } else {
            eprintln!("<== fresh: {command}: FAILED in {seconds:.0} s ({status})");
            failed.push(command.clone());
        }
    }
    Ok(failed)
}

/// A new root of this machine's Debian, for packages that are built here; `Err` is why there is
/// none.
pub(crate) fn own_root() -> Result<Root> {
    ensure!(machine::is_root(), "{NOT_ROOT}");
    let suite = machine::own_suite();
    let suite = suite.context("the packages are for the Debian that they are built on, and this is none")?;
    Root::prepare(&suite, false, false, false)
}

const NOT_ROOT: &str = "only root can make a Debian root and namespaces";

/// Installs these packages with apt in a root, without Rust, uses what they bring, and removes
/// them; the commands that failed.
pub(crate) fn try_packages(root: &Root, debs: &[&PathBuf]) -> Result<Vec<String>> {
    let folder = root.path().join("root/debs");
    fs::create_dir_all(&folder)?;
    fs::create_dir_all(root.path().join(CLONE))?;
    for deb in debs {
        let name = deb.file_name().context("a package has no name")?;
        fs::copy(deb, folder.join(name)).with_context(|| format!("cannot copy {}", deb.display()))?;
    }
    // In place of a toolchain: the empty folder where it would be.
    follow(root, false, &root.path().join(TOOLCHAIN), &install_and_use(root, "/root/debs")?)
}

/// What is committed, as a clone gets it.
fn clone(folder: &Path, resume: bool) -> Result<()> {
    let here = process::workspace();
    let git = |folder: &Path, args: &[&str]| -> Result<String> {
        let mut command = Command::new("git");
        command.arg("-C").arg(folder).args(args);
        let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
        let output = output.context("cannot run git, which copies the committed tree")?;
        ensure!(output.status.success(), "{} failed ({})", process::shown(&command), output.status);
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    if !git(here, &["status", "--porcelain"])?.is_empty() {
        eprintln!("fresh: what is not committed is left out");
    }
    let commit = git(here, &["rev-parse", "HEAD"])?;
    let from = here.to_str().context("the workspace's path is not UTF-8")?;
    if resume && folder.join(".git").exists() {
        git(folder, &["fetch", "--quiet", from, "HEAD"])?;
    } else {
        let to = folder.to_str().context("the root's path is not UTF-8")?;
        git(here, &["clone", "--quiet", "--no-hardlinks", "--no-checkout", from, to])?;
    }
    git(folder, &["reset", "--quiet", "--hard", &commit])?;
    Ok(())
}

/// What a user does with a package archive and without Rust, once the packages are made.
fn packages(root: &Root) -> Result<Vec<String>> {
    // The root has no git to ask.
    let epoch = dist::epoch()?;
    let mut commands = vec![format!("SOURCE_DATE_EPOCH={epoch} cargo xtask dist")];
    commands.extend(install_and_use(root, "./target/dist")?);
    Ok(commands)
}

/// What is done with the packages of that folder of the root.
fn install_and_use(root: &Root, folder: &str) -> Result<Vec<String>> {
    let program = readme::programs()?.into_iter().find(|program| program.interface == "areas");
    program.context("the README has no program for areas.h")?.write(&root.path().join("root"))?;
    let apt = "apt-get install --yes --no-install-recommends";
    Ok(vec![
        format!("apt-get update && {apt} pkg-config {folder}/*.deb"),
        "cd / && cc -Wall -Werror root/readme-areas.c -o root/program $(pkg-config --cflags --libs areas) && root/program".into(),
        "cd / && areas tour".into(),
        "apt-get remove --yes areas libareas0 libareas-dev && ! ls /usr/lib/libareas* /usr/bin/areas".into(),
    ])
}

/// The README's commands, as the options have them.
fn wanted(readme: &str, options: &Options) -> Result<Vec<String>> {
    let mut commands = commands(readme);
    let checks = |command: &str| command.starts_with("cargo xtask test");
    if !commands.iter().any(|command| checks(command)) {
        bail!("the README does not say `cargo xtask test`, but {commands:?}");
    }
    if options.step.is_some() {
        commands.retain(|command| checks(command));
    }
    for command in commands.iter_mut().filter(|command| checks(command)) {
        // One failure is not to hide another.
        *command += " --keep-going";
        if let Some(step) = &options.step {
            *command += &format!(" --step {step}");
        }
        if options.no_vm {
            *command += " --no-vm";
        }
        for word in &options.more {
            *command += &format!(" '{}'", word.replace('\'', r"'\''"));
        }
    }
    Ok(commands)
}

/// The commands of the README's first block for a shell, without what is said about them.
fn commands(readme: &str) -> Vec<String> {
    let lines = readme.lines().skip_while(|line| *line != "```sh").skip(1);
    lines
        .take_while(|line| *line != "```")
        .map(|line| line.split(" #").next().unwrap_or_default().trim().to_owned())
        .filter(|command| !command.is_empty())
        .collect()
}

/// `command` in the root, in namespaces that end with this process.
fn enter(root: &Root, chroot: bool, toolchain: &Path, command: &str) -> Command {
    let way = if chroot { "chroot" } else { "pivot" };
    // Whoever starts it dies: it is killed, and the namespaces' first process with it, and then all
    // in them.
    let mut entering = Command::new("setpriv");
    entering.args(["--pdeathsig=KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child"]);
    entering.args(["sh", "-c", ENTER, "enter.sh", way]);
    entering.arg(root.path()).arg(toolchain).arg(TOOLCHAIN).arg(format!("/{CLONE}"));
    // Nor does whoever starts this in the background ignore signals there.
    entering.args(["env", "-i", "--default-signal", "HOME=/root", "USER=root", "LOGNAME=root"]);
    entering
        .arg(format!("PATH=/{TOOLCHAIN}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"));
    for (name, value) in machine::variables() {
        entering.arg(format!("{name}={value}"));
    }
    entering.args(["sh", "-c", command]).stdin(Stdio::null());
    entering
}

/// The toolchain that this was built with.
fn toolchain() -> Result<PathBuf> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(&rustc).args(["--print", "sysroot"]).output();
    let output = output.with_context(|| format!("cannot run {}", rustc.display()))?;
    let sysroot = PathBuf::from(String::from_utf8(output.stdout)?.trim());
    ensure!(sysroot.join("bin/cargo").exists(), "{} has no cargo", sysroot.display());
    Ok(sysroot)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> Options {
        Options {
            step: None,
            no_vm: false,
            packages: false,
            chroot: false,
            keep: false,
            resume: false,
            suite: None,
            renew: false,
            more: Vec::new(),
        }
    }

    #[test]
    fn our_readme_starts_with_two_commands() {
        let readme = fs::read_to_string(process::workspace().join("README.md")).unwrap();
        let expected = ["cargo run --release -- tour", "cargo xtask test --keep-going"];
        assert_eq!(wanted(&readme, &options()).unwrap(), expected);
    }

    #[test]
    fn options_choose_and_go_along() {
        let readme =
            "# x\n```text\nno\n```\n```sh\nmake   # first\ncargo xtask test # all\n```\n```sh\nmore\n```\n";
        assert_eq!(wanted(readme, &options()).unwrap(), ["make", "cargo xtask test --keep-going"]);
        let some = Options { step: Some("c".into()), no_vm: true, more: vec!["it's".into()], ..options() };
        let expected = [r"cargo xtask test --keep-going --step c --no-vm 'it'\''s'"];
        assert_eq!(wanted(readme, &some).unwrap(), expected);
        assert!(wanted("```sh\nmake\n```\n", &options()).unwrap_err().to_string().contains("does not say"));
    }
}
