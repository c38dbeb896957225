//! What `cargo xtask install` puts in place is enough to build with: programs of each interface by
//! pkg-config, an example by `make` and by CMake; and the command runs, and its pages and
//! completions are there.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use areas_ctest::readme;

use super::counts::Counts;
use super::{Done, Run};
use crate::{install, process};

/// What has to be there, whatever else is.
const FILES: [&str; 26] = [
    "bin/areas-flight",
    "lib/libareas.so",
    "lib/libareas.so.0",
    "lib/libareas-cut.so",
    "lib/libareas-cut.so.0",
    "lib/libareas.a",
    "include/areas.h",
    "include/areas/aml.h",
    "include/areas/aml/area/hwloc.h",
    "include/areas/aml/area/linux.h",
    "include/areas/aml/area/opencl.h",
    "include/areas/aml-0.1/aml.h",
    "include/areas/be/OS.h",
    "include/areas/be/kernel/OS.h",
    "lib/pkgconfig/areas.pc",
    "lib/pkgconfig/areas-be.pc",
    "lib/pkgconfig/areas-aml.pc",
    "lib/pkgconfig/areas-aml-0.1.pc",
    "lib/pkgconfig/areas-cut.pc",
    "lib/cmake/Areas/AreasConfig.cmake",
    "lib/cmake/Areas/AreasConfigVersion.cmake",
    "share/man/man1/areas.1",
    "share/man/man1/areas-put.1",
    "share/bash-completion/completions/areas",
    "share/zsh/site-functions/_areas",
    "share/fish/vendor_completions.d/areas.fish",
];

/// The package of an interface.
fn package(interface: &str) -> String {
    if interface == "areas" { interface.to_owned() } else { format!("areas-{interface}") }
}

/// A prefix, and a folder to build in.
struct Installed {
    prefix: PathBuf,
    work: PathBuf,
}

/// The step.
pub(super) fn run(run: &Run) -> Result<Done> {
    let work = process::target_folder().join("install-test");
    let _ = fs::remove_dir_all(&work);
    fs::create_dir_all(&work).with_context(|| format!("cannot make {}", work.display()))?;
    let prefix = install::install(&install::Options {
        prefix: work.join("prefix"),
        destdir: None,
        no_flight: false,
        flight_of_tests: true,
    })?;
    let here = Installed { prefix, work };
    let mut passed = 0;
    here.files()?;
    passed += 1;
    let here = &here;
    let skip = |tool: &str, what: &str| -> Result<()> {
        eprintln!("install: SKIPPED: {what}: {tool} is not here");
        run.skips.note(&format!("install: {what}"), &format!("{tool} is not here"))
    };
    if process::which("pkg-config").is_some() {
        for (package, source) in here.programs()? {
            here.by_pkg_config(run, &package, &source, false)?;
            here.by_pkg_config(run, &package, &source, true)?;
            passed += 2;
        }
        if process::which("make").is_some() {
            here.example_by_make(run)?;
        } else {
            skip("make", "the example by make")?;
        }
        passed += 1;
    } else {
        skip("pkg-config", "programs by pkg-config")?;
        passed += 1;
    }
    if process::which("cmake").is_some() {
        here.example_by_cmake(run)?;
    } else {
        skip("cmake", "the example by CMake")?;
    }
    passed += 1;
    Ok(Done::counted(Counts { passed, ..Counts::default() }))
}

/// What `areas.h` says is enough of a stack.
const SMALL_STACK_KIB: &str = "32";

impl Installed {
    fn files(&self) -> Result<()> {
        for file in FILES {
            let path = self.prefix.join(file);
            let metadata = fs::metadata(&path).with_context(|| format!("{} is not there", path.display()))?;
            ensure!(metadata.len() > 0, "{} is empty", path.display());
            let mode = metadata.permissions().mode() & 0o777;
            ensure!(mode & 0o444 == 0o444, "{} has mode {mode:o}", path.display());
        }
        let library = fs::read_link(self.prefix.join("lib/libareas.so.0"))?;
        ensure!(library == Path::new(&format!("libareas.so.{}", env!("CARGO_PKG_VERSION"))), "{library:?}");
        let version = Command::new(self.prefix.join("bin/areas")).arg("--version").output()?;
        ensure!(version.status.success(), "areas --version failed");
        Ok(())
    }

    /// Packages, and a program for each: those of the README, and one of the older interface.
    fn programs(&self) -> Result<Vec<(String, PathBuf)>> {
        let mut programs = Vec::new();
        for program in readme::programs()? {
            programs.push((package(program.interface), program.write(&self.work)?));
        }
        let page = process::workspace().join("crates/areas-capi/tests/c/aml-0.1/page.c");
        programs.push((package("aml-0.1"), page));
        // With as small a stack as the headers say is enough: the library is optimised here.
        let stack = process::workspace().join("crates/areas-capi/tests/c/areas/small_stack.c");
        programs.push((package("areas"), stack));
        let cut = process::workspace().join("crates/areas-capi/tests/c/cut/at_once.c");
        programs.push(("areas-be areas-cut".to_owned(), cut));
        Ok(programs)
    }

    /// A program of one of the interfaces, with the shared library or the static one.
    fn by_pkg_config(&self, run: &Run, package: &str, source: &Path, whole: bool) -> Result<()> {
        let mut flags = self.flags(package, whole)?;
        if whole {
            flags
                .iter_mut()
                .filter(|flag| *flag == "-lareas")
                .for_each(|flag| *flag = "-l:libareas.a".into());
        }
        let kind = if whole { "static" } else { "shared" };
        let program = self.work.join(format!("{}-{kind}", package.replace(' ', "-")));
        let tests = process::workspace().join("crates/areas-capi/tests/c");
        let mut compiler = Command::new("gcc");
        compiler
            .args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE"])
            .arg("-I")
            .arg(&tests)
            .arg(source)
            .arg("-o")
            .arg(&program)
            .args(&flags);
        run.command(&mut compiler)?;
        let linked = asks_for(&program, "libareas.so.0")?;
        ensure!(linked != whole, "{} asks for libareas.so.0: {linked}", program.display());
        let cut = asks_for(&program, "libareas-cut.so.0")?;
        ensure!(
            cut == package.contains("areas-cut"),
            "{} asks for libareas-cut.so.0: {cut}",
            program.display()
        );
        self.runs(run, &program)
    }

    fn flags(&self, package: &str, whole: bool) -> Result<Vec<String>> {
        let mut command = self.tool("pkg-config");
        command.args(["--cflags", "--libs", package]);
        if whole {
            command.arg("--static");
        }
        let output = command.output().context("cannot run pkg-config")?;
        ensure!(output.status.success(), "pkg-config: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?.split_whitespace().map(str::to_owned).collect())
    }

    fn example(&self) -> PathBuf {
        process::workspace().join("crates/areas-capi/examples/installed")
    }

    /// In a copy of the example: `make` builds where it stands.
    fn example_by_make(&self, run: &Run) -> Result<()> {
        let folder = self.work.join("made");
        fs::create_dir_all(&folder)?;
        for file in ["Makefile", "frames.c"] {
            fs::copy(self.example().join(file), folder.join(file))?;
        }
        run.command(self.tool("make").arg("-C").arg(&folder))?;
        self.runs(run, &folder.join("frames"))
    }

    fn example_by_cmake(&self, run: &Run) -> Result<()> {
        let build = self.work.join("built");
        let prefix = format!("-DCMAKE_PREFIX_PATH={}", self.prefix.display());
        run.command(self.tool("cmake").arg("-S").arg(self.example()).arg("-B").arg(&build).arg(prefix))?;
        run.command(self.tool("cmake").arg("--build").arg(&build))?;
        self.runs(run, &build.join("frames"))?;
        let cut = build.join("frames-cut");
        ensure!(asks_for(&cut, "libareas-cut.so.0")?, "{} does not ask for libareas-cut.so.0", cut.display());
        self.runs(run, &cut)
    }

    /// A tool that knows the prefix.
    fn tool(&self, name: &str) -> Command {
        let mut command = Command::new(name);
        command.env("PKG_CONFIG_PATH", self.prefix.join("lib/pkgconfig")).env_remove("MAKEFLAGS");
        command
    }

    /// A program ends well, with the installed library and a registry of its own.
    fn runs(&self, run: &Run, program: &Path) -> Result<()> {
        let registry = self.work.join("registry");
        let mut command = Command::new(program);
        command.env("LD_LIBRARY_PATH", self.prefix.join("lib")).env("AREAS_DIR", &registry);
        command.env("AREAS_STACK_KIB", SMALL_STACK_KIB);
        run.command(&mut command)?;
        let _ = fs::remove_dir_all(registry);
        Ok(())
    }
}

/// Whether a program is linked with a shared library.
fn asks_for(program: &Path, library: &str) -> Result<bool> {
    let said = Command::new("readelf").arg("-d").arg(program).output().context("cannot run readelf")?;
    Ok(String::from_utf8_lossy(&said.stdout).contains(&format!("[{library}]")))
}
