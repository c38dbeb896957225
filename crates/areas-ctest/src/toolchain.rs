//! How C and C++ are compiled here, and what they are linked with.

use std::env;
use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use areas_guest::programs::shown;
use serde_json::Value;

use crate::folders::{self, capi};

/// The interfaces, and the folders of `include/` that a program of theirs is given.
const INTERFACES: [(&str, &[&str]); 6] = [
    ("be", &["be"]),
    ("aml", &[""]),
    ("aml-0.1", &["aml-0.1"]),
    ("areas", &[""]),
    ("mixed", &["", "be"]),
    (CUT, &["be", ""]),
];

/// Programs that have what they unmap cut from their areas at once: with `libareas-cut.so`.
pub const CUT: &str = "cut";

/// What the static library needs besides: what `rustc --print native-static-libs` says, for the C
/// library of Linux.
const NATIVE_LIBRARIES: [&str; 5] = ["-lgcc_s", "-lpthread", "-ldl", "-lm", "-lc"];

/// In which language something is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// `-std=gnu89`.
    Gnu89,
    /// `-std=c99`.
    C99,
    /// `-std=gnu99`.
    Gnu99,
    /// `-std=c11`.
    C11,
    /// `-std=c17`.
    C17,
    /// `-std=c++98`.
    Cpp98,
    /// `-std=c++11`.
    Cpp11,
    /// `-std=c++14`.
    Cpp14,
    /// `-std=c++17`.
    Cpp17,
    /// `-std=c++20`.
    Cpp20,
}

impl Language {
    /// By the end of a file's name.
    pub fn of(file: &Path) -> Self {
        match file.file_name().unwrap_or_default().to_string_lossy() {
            name if name.ends_with(".cpp") => Self::Cpp17,
            name if name.ends_with("_c99.c") => Self::C99,
            _ => Self::C11,
        }
    }

    /// All of them: headers of older interfaces are included by programs of all ages.
    pub const ALL: [Self; 10] = [
        Self::Gnu89,
        Self::C99,
        Self::Gnu99,
        Self::C11,
        Self::C17,
        Self::Cpp98,
        Self::Cpp11,
        Self::Cpp14,
        Self::Cpp17,
        Self::Cpp20,
    ];

    /// Those of programs for AML.
    pub const OF_AML: [Self; 8] =
        [Self::C99, Self::Gnu99, Self::C11, Self::C17, Self::Cpp11, Self::Cpp14, Self::Cpp17, Self::Cpp20];

    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gnu89 => "GNU C89",
            Self::C99 => "C99",
            Self::Gnu99 => "GNU C99",
            Self::C11 => "C11",
            Self::C17 => "C17",
            Self::Cpp98 => "C++98",
            Self::Cpp11 => "C++11",
            Self::Cpp14 => "C++14",
            Self::Cpp17 => "C++17",
            Self::Cpp20 => "C++20",
        }
    }

    /// What compilers call it.
    fn standard(self) -> &'static str {
        match self {
            Self::Gnu89 => "gnu89",
            Self::C99 => "c99",
            Self::Gnu99 => "gnu99",
            Self::C11 => "c11",
            Self::C17 => "c17",
            Self::Cpp98 => "c++98",
            Self::Cpp11 => "c++11",
            Self::Cpp14 => "c++14",
            Self::Cpp17 => "c++17",
            Self::Cpp20 => "c++20",
        }
    }

    /// Whether it is C, and not C++.
    pub fn is_c(self) -> bool {
        !self.standard().contains("++")
    }

    /// The compiler, strict.
    pub fn compiler(self) -> Command {
        let mut command = Command::new(if self.is_c() { "gcc" } else { "g++" });
        command.arg(format!("-std={}", self.standard())).args(["-Wall", "-Wextra", "-pedantic", "-Werror"]);
        command
    }
}

/// In which way a program is linked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Linked {
    /// With `libareas.a`, under the sanitizers of addresses and of undefined behaviour.
    Sanitized,
    /// With `libareas.so`, plain.
    Shared,
    /// With `libareas.so` where it is used, for programs that are started with `libareas-cut.so` in
    /// `LD_PRELOAD`.
    Preloaded,
}

/// Names the folder where the libraries are, for tests that need not build them.
pub const LIBRARIES: &str = "AREAS_C_LIBRARIES";

/// The library, built, and a folder to work in.
#[derive(Debug)]
pub struct Toolchain {
    /// `libareas.so`.
    pub shared: PathBuf,
    /// What programs of the interface [`CUT`] have besides.
    pub cut: PathBuf,
    archive: PathBuf,
    /// Programs, their output, their registries.
    pub work: PathBuf,
}

impl Toolchain {
    /// The libraries of the folder that [`LIBRARIES`] names (from the workspace's folder on); where
    /// it names none, they are built.
    ///
    /// # Errors
    /// Where they cannot be built, or are not there.
    pub fn new() -> Result<Self> {
        let folder = match env::var_os(LIBRARIES) {
            Some(folder) => folders::workspace().join(folder),
            None => build()?,
        };
        let [shared, archive, cut] = NAMES.map(|name| folder.join(name));
        for file in [&shared, &archive, &cut] {
            ensure!(file.exists(), "{} is not there", file.display());
        }
        let work = folders::target().join("c-tests");
        fs::create_dir_all(&work).with_context(|| format!("cannot make {}", work.display()))?;
        Ok(Self { shared, cut, archive, work })
    }

    /// Compiles one file for an interface into a program, whose name ends with `way`, and returns
    /// where that is.
    pub fn program(&self, source: &Path, interface: &str, linked: Linked, way: &str) -> Result<PathBuf> {
        let stem = source.file_name().unwrap_or_default().to_string_lossy().replace('.', "-");
        let program = self.work.join(format!("{interface}-{stem}-{way}"));
        let mut command = Language::of(source).compiler();
        command.args(["-g", "-O1", "-D_GNU_SOURCE", "-fno-omit-frame-pointer"]);
        for folder in include_folders(interface)? {
            command.arg("-I").arg(folder);
        }
        command.arg("-I").arg(capi().join("tests/c"));
        if linked == Linked::Sanitized {
            command.args(["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]);
        }
        command.arg(source).arg("-o").arg(&program);
        if interface == CUT && linked != Linked::Preloaded {
            // Whether or not the program itself calls what is interposed.
            command.arg("-Wl,--no-as-needed").arg(&self.cut);
        }
        let links = linked_with(source)?;
        match linked {
            Linked::Sanitized => command.arg(&self.archive).args(NATIVE_LIBRARIES),
            Linked::Shared | Linked::Preloaded => {
                let folder = self.shared.parent().unwrap_or(Path::new("."));
                command.arg("-Wl,--as-needed").arg("-L").arg(folder).arg("-lareas");
                command.arg(format!("-Wl,-rpath,{}", folder.display())).arg("-lpthread")
            }
        };
        command.args(links);
        quiet(&mut command)?;
        Ok(program)
    }
}

/// A program that needs another library says so in a line that begins with this.
const LINKED_WITH: &str = " * Linked with: ";

/// The libraries that a program names, if their headers are installed. Where they are not, it says
/// itself that it cannot run.
fn linked_with(source: &Path) -> Result<Vec<String>> {
    let text = fs::read_to_string(source).with_context(|| format!("cannot read {}", source.display()))?;
    let names = text.lines().filter_map(|line| line.strip_prefix(LINKED_WITH));
    let installed = |name: &&str| Path::new("/usr/include").join(format!("{name}.h")).exists();
    Ok(names.filter(installed).map(|name| format!("-l{name}")).collect())
}

/// The folders that a program of an interface is given.
pub fn include_folders(interface: &str) -> Result<Vec<PathBuf>> {
    let include = capi().join("include");
    let known = INTERFACES.iter().find(|(name, _)| *name == interface);
    let (_, folders) = known.with_context(|| format!("no interface is called {interface:?}"))?;
    Ok(folders.iter().map(|folder| include.join(folder)).collect())
}

/// The names of the interfaces.
pub fn interfaces() -> impl Iterator<Item = &'static str> {
    INTERFACES.iter().map(|(name, _)| *name)
}

/// Runs something that is to say nothing, as compilers do; what it says is the error.
pub fn quiet(command: &mut Command) -> Result<String> {
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("cannot run {}", shown(command)))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("$ {}\n{said}({})", shown(command), output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// How a program ended, and what it said. `None`: it was still running at the end of its time, and
/// was killed.
pub fn watch(command: &mut Command, log: &Path, limit: Duration) -> Result<(Option<ExitStatus>, String)> {
    // Into a file: whoever inherits it, and lives on, cannot keep us waiting.
    let file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file)
        .process_group(0)
        .spawn()
        .with_context(|| format!("cannot run {}", shown(command)))?;
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break Some(status);
        }
        if start.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            break None;
        }
        thread::sleep(Duration::from_millis(10));
    };
    let said = String::from_utf8_lossy(&fs::read(log)?).into_owned();
    Ok((status, said))
}

/// The files that programs are linked with: the library in two forms, and what interposes munmap.
const NAMES: [&str; 3] = ["libareas.so", "libareas.a", "libareas_cut.so"];

/// Builds the libraries, and returns the folder that they are in.
///
/// # Errors
/// Where they cannot be built.
pub fn build() -> Result<PathBuf> {
    let mut command = folders::build_all();
    command.arg("--message-format=json-render-diagnostics");
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "{} failed ({})", shown(&command), output.status);
    let messages = String::from_utf8_lossy(&output.stdout);
    let shared = messages.lines().flat_map(libraries).find(|file| file.ends_with(NAMES[0]));
    let folder = shared.as_deref().and_then(Path::parent);
    folder.map(Path::to_owned).with_context(|| format!("cargo built no {}", NAMES[0]))
}

/// A command that runs a program made here: with the libraries that it was linked with, which
/// cargo's folders in `LD_LIBRARY_PATH` would replace.
#[must_use]
pub fn started(program: &Path) -> Command {
    const VARIABLE: &str = "LD_LIBRARY_PATH";
    let mut command = Command::new(program);
    let given = env::var_os(VARIABLE).unwrap_or_default();
    let target = folders::target();
    let kept: Vec<_> = env::split_paths(&given)
        .filter(|folder| !folder.as_os_str().is_empty() && !folder.starts_with(&target))
        .collect();
    match env::join_paths(&kept) {
        Ok(kept) if !kept.is_empty() => command.env(VARIABLE, kept),
        _ => command.env_remove(VARIABLE),
    };
    command
}

/// The files of the C library in one of cargo's messages.
fn libraries(line: &str) -> Vec<PathBuf> {
    let Ok(message) = serde_json::from_str::<Value>(line) else { return Vec::new() };
    let ours = message["target"]["kind"]
        .as_array()
        .is_some_and(|kinds| kinds.iter().any(|kind| kind == "cdylib" || kind == "staticlib"));
    let files = message["filenames"].as_array().filter(|_| ours).into_iter().flatten();
    files.filter_map(|file| file.as_str().map(PathBuf::from)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_says_where_the_libraries_are() {
        let line = r#"{"reason":"compiler-artifact","target":{"kind":["cdylib","staticlib"],"name":"areas"},
                       "filenames":["/t/libareas.so","/t/libareas.a"]}"#;
        assert_eq!(
            libraries(&line.replace('\n', "")),
            ["/t/libareas.so", "/t/libareas.a"].map(PathBuf::from)
        );
        assert!(libraries("{}").is_empty() && libraries("no JSON").is_empty());
    }

    #[test]
    fn a_program_is_watched() {
        let log = env::temp_dir().join(format!("areas-ctest-watch-{}", std::process::id()));
        let run = |line: &str, limit| watch(Command::new("sh").args(["-c", line]), &log, limit).unwrap();
        let (status, said) = run("echo one; echo two >&2; exit 77", Duration::from_secs(30));
        assert_eq!((status.and_then(|status| status.code()), said.as_str()), (Some(77), "one\ntwo\n"));
        let (status, _) = run("exec sleep 60", Duration::from_millis(50));
        assert!(status.is_none());
        fs::remove_file(log).unwrap();
    }
}
