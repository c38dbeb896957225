//! The first step: what the other steps call is there afterwards. A new machine has cargo and a
//! linker, and nothing else is taken for granted: `cargo xtask fresh` tries it.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Result, ensure};
use areas_ctest::recipes::RECIPES;

use super::{Done, Run, mpi};
use crate::process;

/// How one sees that a package is there.
#[derive(Clone, Copy, Debug)]
enum Sign {
    Program(&'static str),
    /// A file below `/usr/include`.
    Header(&'static str),
    /// A module of the `python3` in PATH.
    Module(&'static str),
}

/// Something that a step needs and that a new machine lacks.
#[derive(Clone, Copy, Debug)]
struct Need {
    sign: Sign,
    /// Debian's packages with it.
    packages: &'static str,
    /// The steps that use it.
    steps: &'static [&'static str],
}

const fn program(name: &'static str, packages: &'static str, steps: &'static [&'static str]) -> Need {
    Need { sign: Sign::Program(name), packages, steps }
}

const fn header(name: &'static str, packages: &'static str, steps: &'static [&'static str]) -> Need {
    Need { sign: Sign::Header(name), packages, steps }
}

const fn module(name: &'static str, packages: &'static str, steps: &'static [&'static str]) -> Need {
    Need { sign: Sign::Module(name), packages, steps }
}

/// What the steps call, beyond what every Debian has (a shell, coreutils, `cmp`, `grep`, `tar`).
const NEEDS: [Need; 34] = [
    program("gcc", "gcc libc6-dev", &["tests", "c", "install", "dist", "bench", "guests"]),
    program("cc", "gcc libc6-dev", &["tests", "bench"]),
    program("g++", "g++", &["c", "bench", "fuzz"]),
    program("c++", "g++", &["bench", "fuzz"]),
    program("nm", "binutils", &["c"]),
    program("readelf", "binutils", &["install", "dist"]),
    program("strip", "binutils", &["dist"]),
    program("gzip", "gzip", &["dist"]),
    // Files in packages have the time of the last commit.
    program("git", "git", &["dist"]),
    program("valgrind", "valgrind", &["c", "bench"]),
    program("make", "make", &["install"]),
    program("pkg-config", "pkg-config", &["install", "dist"]),
    program("cmake", "cmake", &["install"]),
    program("setpriv", "util-linux", &["tests", "guests"]),
    program("unshare", "util-linux", &["tests", "python"]),
    program("prlimit", "util-linux", &["tests"]),
    program("mount", "mount", &["tests", "python"]),
    program("script", "bsdutils", &["tests"]),
    program("perl", "perl-base", &["tests"]),
    program("ps", "procps", &["tests"]),
    program("bash", "bash", &["tests"]),
    program("zsh", "zsh", &["tests"]),
    program("fish", "fish", &["tests"]),
    program("man", "man-db", &["tests"]),
    program("ldd", "libc-bin", &["containers", "guests"]),
    program("numactl", "numactl", &["guests"]),
    program("python3", "python3", &["python", "bench"]),
    // Debian keeps it apart from its Python.
    module("ensurepip", "python3-venv", &["python"]),
    program("ipcs", "util-linux", &["bench"]),
    program("lsipc", "util-linux", &["bench"]),
    header("numa.h", "libnuma-dev", &["c", "bench"]),
    header("hwloc.h", "libhwloc-dev", &["c", "bench"]),
    header("memkind.h", "libmemkind-dev", &["bench"]),
    header("boost/interprocess/mapped_region.hpp", "libboost-dev", &["bench"]),
];

/// Parts of the toolchain that rustup's smallest profile lacks: the program, the component, the
/// step.
const COMPONENTS: [(&str, &str, &str); 2] = [("fmt", "rustfmt", "format"), ("clippy", "clippy", "clippy")];

/// The test runner from crates.io, in a version that builds with our oldest Rust.
const NEXTEST: &str = "0.9.143";

/// Installs what the chosen steps call and is not there.
pub(super) fn run(run: &Run) -> Result<Done> {
    let chosen = |step: &str| run.options.chooses(step);
    packages(run, chosen)?;
    if chosen("python") {
        cpythons_tests(run);
    }
    for (command, component, step) in COMPONENTS {
        if chosen(step) && !answers(&mut process::cargo([command, "--version"])) {
            eprintln!("cargo {command} is not here");
            run.command(Command::new("rustup").args(["component", "add", component]))?;
        }
    }
    if chosen("containers") {
        containers(run);
    }
    if chosen("c") {
        recipes(run);
    }
    if chosen("mpi") {
        mpi(run);
    }
    if (chosen("tests") || chosen("c")) && !run.options.without_nextest && !has_nextest() {
        nextest(run);
    }
    Ok(Done::default())
}

/// Debian's packages.
fn packages(run: &Run, chosen: impl Fn(&str) -> bool) -> Result<()> {
    let missing = missing(chosen, present);
    if missing.is_empty() {
        return Ok(());
    }
    let missing = missing.join(" ");
    ensure!(is_root(), "missing packages: {missing}; run as root: {INSTALL} {missing}");
    install(run, &missing)
}

const INSTALL: &str = "apt-get install --yes --no-install-recommends";

fn is_root() -> bool {
    // /proc/self belongs to the effective user.
    fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}

fn install(run: &Run, packages: &str) -> Result<()> {
    let apt = |line: &str| {
        let mut words = line.split(' ');
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).env("DEBIAN_FRONTEND", "noninteractive");
        command
    };
    let line = format!("{INSTALL} {packages}");
    if run.command(&mut apt(&line)).is_err() {
        run.command(&mut apt("apt-get update"))?;
        run.command(&mut apt(&line))?;
    }
    Ok(())
}

/// CPython's own tests, which the drop-in for its shared memory is tried with. Debian has them in a
/// package for each version. Where they are not to be had, those who want them say that they skip
/// them.
fn cpythons_tests(run: &Run) {
    let debian = Path::new("/usr/bin/python3");
    if !debian.exists() || process::which("python3").is_none_or(|python| python != debian) || !is_root() {
        return;
    }
    let code = "import sys, importlib.util as u; print('libpython%d.%d-testsuite' % sys.version_info[:2], u.find_spec('test') and \
                u.find_spec('test._test_multiprocessing') is not None)";
    let output = Command::new(debian).args(["-I", "-c", code]).stdin(Stdio::null()).output();
    let said = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    if let Some((package, found)) = said.trim_end().split_once(' ')
        && found != "True"
        && let Err(error) = install(run, package)
    {
        eprintln!("CPython's own tests cannot be installed: {error:#}");
    }
}

/// What starts containers. Where it is not to be had, the tests that want it say that they skip it.
fn containers(run: &Run) {
    let missing: Vec<&str> =
        ["podman", "runc"].into_iter().filter(|name| process::which(name).is_none()).collect();
    if missing.is_empty() || !is_root() {
        return;
    }
    if let Err(error) = install(run, &missing.join(" ")) {
        eprintln!("podman and runc cannot be installed: {error:#}");
    }
}

/// The libraries of recipes. Where one is not to be had, its recipe says that it is skipped.
fn recipes(run: &Run) {
    for recipe in RECIPES.iter().filter(|recipe| !recipe.is_installed()) {
        if is_root()
            && let Err(error) = install(run, recipe.packages)
        {
            eprintln!("{} cannot be installed: {error:#}", recipe.packages);
        }
    }
}

/// Open MPI, its Python, what lays cables between hosts. Where they are not to be had, the tests
/// that want them say that they skip it.
fn mpi(run: &Run) {
    let programs = mpi::PROGRAMS.into_iter().all(|name| process::which(name).is_some());
    let xxhash = Path::new("/usr/include/xxhash.h").exists();
    let python = answers(Command::new("/usr/bin/python3").args(["-I", "-c", "import mpi4py, numpy"]));
    if (programs && xxhash && python) || !is_root() {
        return;
    }
    let packages = "openmpi-bin libopenmpi-dev libxxhash-dev python3-mpi4py python3-numpy iproute2 make pkg-config util-linux";
    if let Err(error) = install(run, packages) {
        eprintln!("Open MPI cannot be installed: {error:#}");
    }
}

/// The packages that the chosen steps need and that are not `present`, each once.
fn missing(chosen: impl Fn(&str) -> bool, present: impl Fn(Sign) -> bool) -> Vec<&'static str> {
    let needs = NEEDS.iter().filter(|need| need.steps.iter().any(|step| chosen(step)));
    let mut missing: Vec<&str> =
        needs.filter(|need| !present(need.sign)).flat_map(|need| need.packages.split(' ')).collect();
    missing.sort_unstable();
    missing.dedup();
    missing
}

fn present(sign: Sign) -> bool {
    match sign {
        Sign::Program(name) => process::which(name).is_some(),
        Sign::Header(name) => Path::new("/usr/include").join(name).exists(),
        Sign::Module(name) => answers(Command::new("python3").args(["-I", "-c", &format!("import {name}")])),
    }
}

/// Whether `cargo nextest` works.
pub(super) fn has_nextest() -> bool {
    answers(&mut process::cargo(["nextest", "--version"]))
}

fn answers(command: &mut Command) -> bool {
    command.stdin(Stdio::null()).output().is_ok_and(|output| output.status.success())
}

/// Builds cargo-nextest. Where that fails (no network, say) the tests run without it, which is
/// said.
fn nextest(run: &Run) {
    eprintln!(
        "cargo-nextest is not here: building version {NEXTEST} from crates.io, once; this takes some minutes \
         (--without-nextest does without)"
    );
    let start = Instant::now();
    let folder = process::target_folder().join("nextest");
    let mut command = process::cargo(["install", "cargo-nextest", "--version", NEXTEST, "--locked"]);
    // It is not to replace itself with a program that was built elsewhere.
    command.args(["--no-default-features", "--features", "default-no-update"]);
    let built = run.command(command.env("CARGO_TARGET_DIR", &folder));
    // It is only wanted installed.
    let _ = fs::remove_dir_all(&folder);
    match built {
        Ok(_) if has_nextest() => {
            eprintln!("cargo-nextest was built in {:.0} s", start.elapsed().as_secs_f64());
        }
        Ok(_) => eprintln!("cargo-nextest was installed where cargo does not find it"),
        Err(error) => eprintln!("cargo-nextest cannot be installed: {error:#}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::STEPS;

    #[test]
    fn needs_name_steps_that_there_are() {
        let known = |step: &str| STEPS.iter().any(|known| known.name == step);
        assert!(NEEDS.iter().flat_map(|need| need.steps).all(|step| known(step)));
        assert!(COMPONENTS.iter().all(|(_, _, step)| known(step)));
    }

    #[test]
    fn packages_are_those_of_the_chosen_steps() {
        let nothing = |_: Sign| false;
        assert!(missing(|_| true, nothing).contains(&"libnuma-dev"));
        assert_eq!(missing(|step| step == "models", nothing), [""; 0]);
        assert_eq!(missing(|step| step == "fuzz", nothing), ["g++"]);
        assert_eq!(missing(|_| true, |_| true), [""; 0]);
        let no_headers = |sign: Sign| matches!(sign, Sign::Program(_));
        assert_eq!(missing(|step| step == "c", no_headers), ["libhwloc-dev", "libnuma-dev"]);
    }
}
