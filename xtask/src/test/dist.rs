//! What `cargo xtask dist` makes is what was meant: made twice it is the same; the archive works
//! from where it is unpacked; the Debian packages install with what this machine has, and in a new
//! Debian root by apt; and programs are built and run with what they bring.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use areas_ctest::readme;

use super::counts::Counts;
use super::{Done, Run};
use crate::{dist, fresh, process};

/// The step. It takes what the install step has built.
pub(super) fn run(run: &Run) -> Result<Done> {
    let work = process::target_folder().join("dist-test");
    let _ = fs::remove_dir_all(&work);
    fs::create_dir_all(&work).with_context(|| format!("cannot make {}", work.display()))?;
    let with_deb = process::which("dpkg-deb").is_some();
    let made = dist::make(&work.join("first"), with_deb, true)?;
    let again = dist::make(&work.join("again"), with_deb, true)?;
    ensure!(made.len() == again.len(), "once {made:?}, then {again:?}");
    for (one, other) in made.iter().zip(&again) {
        let same = fs::read(one)? == fs::read(other)?;
        ensure!(same, "{} is not made the same twice", one.display());
    }
    let archive = made.first().context("no archive")?;
    run.command(Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(&work))?;
    let unpacked = work.join(format!("areas-{}-{}-linux", dist::VERSION, std::env::consts::ARCH));
    use_it(run, &work, &unpacked, None)?;
    let mut passed = 2;
    if with_deb {
        let root = work.join("root");
        let debs: Vec<&PathBuf> =
            made.iter().filter(|file| file.extension().is_some_and(|e| e == "deb")).collect();
        ensure!(debs.len() == PACKAGES.len(), "{debs:?}");
        install(run, &root, &debs)?;
        use_it(run, &work, &root.join("usr"), Some(&root))?;
        passed += 1;
        // apt, and a system that has nothing of ours and no Rust.
        match fresh::own_root() {
            Ok(root) => {
                let failed = fresh::try_packages(&root, &debs)?;
                ensure!(failed.is_empty(), "in a new Debian root: {}", failed.join("; "));
                passed += 1;
            }
            Err(error) => {
                eprintln!("dist: SKIPPED: a new Debian root: {error:#}");
                run.skips.note("dist: packages in a new Debian root", &format!("{error:#}"))?;
            }
        }
    } else {
        eprintln!("dist: SKIPPED: Debian packages: dpkg-deb is not here");
        run.skips.note("dist: Debian packages", "dpkg-deb is not here")?;
    }
    let _ = fs::remove_dir_all(&work);
    Ok(Done::counted(Counts { passed, ..Counts::default() }))
}

/// The packages.
const PACKAGES: [&str; 4] = ["areas", "areas-flight", "libareas0", "libareas-dev"];

/// Installs packages below `root`. dpkg knows of this machine's C library, in whose version what
/// they depend on has to be.
fn install(run: &Run, root: &Path, debs: &[&PathBuf]) -> Result<()> {
    let state = root.join("var/lib/dpkg");
    for folder in ["updates", "info", "triggers"] {
        fs::create_dir_all(state.join(folder))?;
    }
    // /proc/self belongs to the effective user; only root may give files to root.
    if fs::metadata("/proc/self")?.uid() != 0 {
        run.skips.note("dist: dpkg --install", "only root may install; the packages were unpacked")?;
        return debs.iter().try_for_each(|deb| {
            run.command(Command::new("dpkg-deb").arg("--extract").arg(deb).arg(root)).map(|_| ())
        });
    }
    let known = fs::read_to_string("/var/lib/dpkg/status").context("cannot read which packages are here")?;
    fs::write(state.join("status"), depended_on(&known))?;
    let mut dpkg = Command::new("dpkg");
    // The root has nothing in it but these packages: no linker's cache to renew. Small images leave
    // out what is in /usr/share.
    dpkg.arg(format!("--root={}", root.display()))
        .args(["--no-triggers", "--path-include=/usr/share/*", "--install"])
        .args(debs);
    run.command(&mut dpkg)?;
    let mut asked = Command::new("dpkg-query");
    asked.arg(format!("--admindir={}", state.display())).args(["--show", "--showformat=${Status}\n"]);
    let said = run.command(asked.args(PACKAGES))?;
    let installed = said.output.lines().filter(|line| line.starts_with("install ok")).count();
    ensure!(installed == PACKAGES.len(), "dpkg does not have all packages installed:\n{}", said.output);
    // What was changed after it was packed would be reported here.
    let mut verify = Command::new("dpkg");
    verify.arg(format!("--root={}", root.display())).arg("--verify").args(PACKAGES);
    let said = run.command(&mut verify)?;
    ensure!(said.output.trim().is_empty(), "not as it was packed:\n{}", said.output);
    Ok(())
}

/// Of dpkg's list the paragraphs of packages that ours may depend on.
fn depended_on(status: &str) -> String {
    let ours = |paragraph: &&str| {
        let mut lines = paragraph.lines().filter_map(|line| line.strip_prefix("Package: "));
        lines.any(|name| ["libc6", "libc6-dev", "libgcc-s1"].contains(&name))
    };
    status.split("\n\n").filter(ours).map(|paragraph| format!("{}\n\n", paragraph.trim())).collect()
}

/// Builds the README's program for `areas.h` with what is below `prefix`, and runs it and the
/// command.
fn use_it(run: &Run, work: &Path, prefix: &Path, root: Option<&Path>) -> Result<()> {
    let program = readme::programs()?.into_iter().find(|program| program.interface == "areas");
    let source = program.context("the README has no program for areas.h")?.write(work)?;
    let mut tool = Command::new("pkg-config");
    tool.args(["--cflags", "--libs", "areas"]).env("PKG_CONFIG_LIBDIR", prefix.join("lib/pkgconfig"));
    if let Some(root) = root {
        // What is below `/usr` is looked for there by compilers anyhow, but for such a root.
        tool.env("PKG_CONFIG_SYSROOT_DIR", root).env("PKG_CONFIG_ALLOW_SYSTEM_CFLAGS", "1");
        tool.env("PKG_CONFIG_ALLOW_SYSTEM_LIBS", "1");
    }
    let flags = run.command(&mut tool)?.output;
    ensure!(flags.contains("-lareas"), "pkg-config says {flags:?}");
    let program = work.join("program");
    let mut compiler = Command::new("gcc");
    compiler.args(["-Wall", "-Werror"]).arg(&source).arg("-o").arg(&program).args(flags.split_whitespace());
    run.command(&mut compiler)?;
    let registry = work.join("registry");
    let here = |program: &Path| {
        let mut command = Command::new(program);
        command.env("LD_LIBRARY_PATH", prefix.join("lib")).env("AREAS_DIR", &registry);
        command
    };
    let said = run.command(&mut here(&program))?.output;
    ensure!(said.contains("frame 1"), "the program says {said:?}");
    let said = run.command(here(&prefix.join("bin/areas")).arg("--version"))?.output;
    ensure!(said.contains(dist::VERSION), "areas --version says {said:?}");
    let _ = fs::remove_dir_all(registry);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_are_taken_whole() {
        let status = "Package: libc6\nVersion: 2.36-9\n\nPackage: libc6-dbg\nVersion: 1\n\nPackage: libgcc-s1\nVersion: 12\n";
        assert_eq!(
            depended_on(status),
            "Package: libc6\nVersion: 2.36-9\n\nPackage: libgcc-s1\nVersion: 12\n\n"
        );
    }
}
