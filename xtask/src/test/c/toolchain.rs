//! How C and C++ are compiled here, and what they are linked with.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use super::crate_folder;
use crate::test::Run;
use crate::{process, selection};

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
pub(super) const CUT: &str = "cut";

/// What the static library needs besides: what `rustc --print native-static-libs` says, for the C
/// library of Linux.
const NATIVE_LIBRARIES: [&str; 5] = ["-lgcc_s", "-lpthread", "-ldl", "-lm", "-lc"];

/// In which language something is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    Gnu89,
    C99,
    Gnu99,
    C11,
    C17,
    Cpp98,
    Cpp11,
    Cpp14,
    Cpp17,
    Cpp20,
}

impl Language {
    /// By the end of a file's name.
    pub(super) fn of(file: &Path) -> Self {
        match file.file_name().unwrap_or_default().to_string_lossy() {
            name if name.ends_with(".cpp") => Self::Cpp17,
            name if name.ends_with("_c99.c") => Self::C99,
            _ => Self::C11,
        }
    }

    /// All of them: headers of older interfaces are included by programs of all ages.
    pub(super) const ALL: [Self; 10] = [
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
    pub(super) const OF_AML: [Self; 8] =
        [Self::C99, Self::Gnu99, Self::C11, Self::C17, Self::Cpp11, Self::Cpp14, Self::Cpp17, Self::Cpp20];

    pub(super) fn name(self) -> &'static str {
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
    pub(super) fn is_c(self) -> bool {
        !self.standard().contains("++")
    }

    /// The compiler, strict.
    pub(super) fn compiler(self) -> Command {
        let mut command = Command::new(if self.is_c() { "gcc" } else { "g++" });
        command.arg(format!("-std={}", self.standard())).args(["-Wall", "-Wextra", "-pedantic", "-Werror"]);
        command
    }
}

/// In which way a program is linked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Linked {
    /// With `libareas.a`, under the sanitizers of addresses and of undefined behaviour.
    Sanitized,
    /// With `libareas.so`, plain.
    Shared,
    /// With `libareas.so` where it is used, for programs that are started with `libareas-cut.so` in
    /// `LD_PRELOAD`.
    Preloaded,
}

/// The library, built, and a folder to work in.
#[derive(Debug)]
pub(super) struct Toolchain {
    pub(super) shared: PathBuf,
    /// What programs of the interface [`CUT`] have besides.
    pub(super) cut: PathBuf,
    archive: PathBuf,
    /// Programs, their output, their registries.
    pub(super) work: PathBuf,
}

impl Toolchain {
    /// Builds the library.
    pub(super) fn build(run: &Run) -> Result<Self> {
        let mut command = selection::workspace();
        command.arg("--message-format=json-render-diagnostics");
        eprintln!("$ {}", process::shown(&command));
        let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
        ensure!(output.status.success(), "{} failed ({})", process::shown(&command), output.status);
        let messages = String::from_utf8_lossy(&output.stdout);
        let files: Vec<PathBuf> = messages.lines().flat_map(libraries).collect();
        let find = |end: &str| {
            let file = files.iter().find(|file| file.to_string_lossy().ends_with(end));
            file.cloned().with_context(|| format!("cargo built no {end}"))
        };
        let work = process::target_folder().join("c-tests");
        fs::create_dir_all(&work).with_context(|| format!("cannot make {}", work.display()))?;
        let _ = run;
        let (shared, archive, cut) = (find("/libareas.so")?, find("/libareas.a")?, find("/libareas_cut.so")?);
        Ok(Self { shared, cut, archive, work })
    }

    /// Compiles one file for an interface into a program, whose name ends with `way`, and returns
    /// where that is.
    pub(super) fn program(
        &self,
        source: &Path,
        interface: &str,
        linked: Linked,
        way: &str,
    ) -> Result<PathBuf> {
        let stem = source.file_name().unwrap_or_default().to_string_lossy().replace('.', "-");
        let program = self.work.join(format!("{interface}-{stem}-{way}"));
        let mut command = Language::of(source).compiler();
        command.args(["-g", "-O1", "-D_GNU_SOURCE", "-fno-omit-frame-pointer"]);
        for folder in include_folders(interface)? {
            command.arg("-I").arg(folder);
        }
        command.arg("-I").arg(crate_folder().join("tests/c"));
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
pub(super) fn include_folders(interface: &str) -> Result<Vec<PathBuf>> {
    let include = crate_folder().join("include");
    let known = INTERFACES.iter().find(|(name, _)| *name == interface);
    let (_, folders) = known.with_context(|| format!("no interface is called {interface:?}"))?;
    Ok(folders.iter().map(|folder| include.join(folder)).collect())
}

/// The names of the interfaces.
pub(super) fn interfaces() -> impl Iterator<Item = &'static str> {
    INTERFACES.iter().map(|(name, _)| *name)
}

/// Runs something that is to say nothing, as compilers do; what it says is the error.
pub(super) fn quiet(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {}", process::shown(command)))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("$ {}\n{said}({})", process::shown(command), output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// How a program ended, and what it said. `None`: it was still running at the end of its time, and
/// was killed.
pub(super) fn watch(
    command: &mut Command,
    log: &Path,
    limit: Duration,
) -> Result<(Option<ExitStatus>, String)> {
    // Into a file: whoever inherits it, and lives on, cannot keep us waiting.
    let file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file)
        .process_group(0)
        .spawn()
        .with_context(|| format!("cannot run {}", process::shown(command)))?;
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
        let log = std::env::temp_dir().join(format!("areas-xtask-watch-{}", std::process::id()));
        let run = |line: &str, limit| watch(Command::new("sh").args(["-c", line]), &log, limit).unwrap();
        let (status, said) = run("echo one; echo two >&2; exit 77", Duration::from_secs(30));
        assert_eq!((status.and_then(|status| status.code()), said.as_str()), (Some(77), "one\ntwo\n"));
        let (status, _) = run("exec sleep 60", Duration::from_millis(50));
        assert!(status.is_none());
        fs::remove_file(log).unwrap();
    }
}
