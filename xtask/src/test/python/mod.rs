//! The Python package, as its users get it: a wheel, the source folder and the source archive are
//! installed by pip, and the tests in `python/tests` run with the wheel in each Python from 3.11 on
//! that is here: in all of them at once, as most tests wait for other processes. What measures the
//! whole machine's memory (the kills) comes behind that, by itself. What is for torch runs with the
//! one that the system has installed for its own Python: torch's wheels are too large to be fetched
//! for each run.
//!
//! | file | what |
//! |---|---|
//! | `areas_ci.py` | pytest's plugin: filters, and skips said aloud |

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use super::counts::Counts;
use super::{Done, Run};
use crate::python::{self, Builder, Environment, Interpreter, Missing};
use crate::{process, selection};

/// For all tests in one Python.
const TESTS_LIMIT: Duration = Duration::from_secs(900);
/// For pip, with a build of everything.
const INSTALL_LIMIT: Duration = Duration::from_secs(1800);
/// For a few lines of Python.
const PROGRAM_LIMIT: Duration = Duration::from_secs(60);

/// Puts an array, finds it from another process, and prints the path of the package.
const FIRST_USE: &str = "import areas, subprocess, sys, numpy
a = areas.put(numpy.arange(6.0), name=f'first-use-{sys.argv[1]}', freeze=True)
other = f'import areas; print(areas.find({a.name!r}).array.sum())'
print(subprocess.run([sys.executable, '-c', other], stdout=subprocess.PIPE, text=True, check=True).stdout.strip(), areas.__file__)";

/// The step.
pub(super) fn run(run: &Run) -> Result<Done> {
    if !has_tests(&run.options.filter)? {
        return Ok(Done::skipped("no test in Python has such a name"));
    }
    let pythons = python::usable(python::interpreters());
    let Some(first) = pythons.first() else {
        return skipped(run, "there is no Python 3.11 or newer here");
    };
    let builder = match Builder::new(first)? {
        Ok(builder) => builder,
        Err(Missing(why)) => return skipped(run, &why),
    };
    // What `areas.serve` and `areas.fetch` start.
    run.command(&mut selection::workspace())?;
    let wheel = builder.wheel(&process::target_folder().join("python/wheels"), &[])?;
    let mut environments = Vec::new();
    for python in &pythons {
        match Environment::prepare(&python.minor(), python, &["test"])? {
            Ok(environment) => {
                environment.install(&wheel)?;
                environments.push((environment, python == first));
            }
            Err(Missing(why)) => note(run, &format!("python{}", python.minor()), &why)?,
        }
    }
    let torch = with_torch(run, &wheel)?;
    let mut done = Done::default();
    let (ended, checked) = thread::scope(|scope| {
        let start = |(environment, many, part)| scope.spawn(move || tests(run, environment, many, part));
        let beside = environments.iter().map(|(environment, many)| (environment, *many, Part::Beside));
        let torch = torch.iter().map(|environment| (environment, false, Part::Torch));
        let running: Vec<_> = beside.chain(torch).map(start).collect();
        // A choice of some tests is to be quick.
        let checked = match run.options.filter.is_empty() {
            true => by_pip(run, &builder, first, &wheel),
            false => Ok(0),
        };
        (running.into_iter().map(thread::ScopedJoinHandle::join).collect::<Vec<_>>(), checked)
    });
    done.counts.passed += checked?;
    for one in ended {
        add(&mut done, one.unwrap_or_else(|_| bail!("a thread that ran pytest panicked"))?);
    }
    for (environment, many) in &environments {
        add(&mut done, tests(run, environment, *many, Part::Alone)?);
    }
    Ok(done)
}

/// Which of the tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// Those that may run beside others.
    Beside,
    /// Those that measure the memory of the machine.
    Alone,
    /// Those that are for torch.
    Torch,
}

impl Part {
    const ALONE: &str = "test_kills.py";
    /// What is about the machine, other programs and texts, whichever Python looks: in the first
    /// one only.
    const ONCE: [&str; 6] = [
        "test_dask.py",
        "test_dev_shm.py",
        "test_docs.py",
        "test_examples.py",
        "test_flight.py",
        "test_gate.py",
    ];
    const TORCH: [&str; 2] = ["test_torch.py", "test_dlpack.py::test_torch_takes_it"];
}

/// Of several failures, the last one counts; all are in the output.
fn add(all: &mut Done, one: Done) {
    all.counts += one.counts;
    if all.verdict == super::Verdict::Passed {
        all.verdict = one.verdict;
    }
}

fn skipped(run: &Run, why: &str) -> Result<Done> {
    note(run, "python", why)?;
    Ok(Done::skipped(why))
}

fn note(run: &Run, what: &str, why: &str) -> Result<()> {
    eprintln!("python: SKIPPED: {what}: {why}");
    run.skips.note(what, why)
}

/// An environment with the system's torch, where it has one.
fn with_torch(run: &Run, wheel: &Path) -> Result<Option<Environment>> {
    let Some(python) = python::usable(Interpreter::of_system().into_iter().collect()).pop() else {
        note(run, "torch", "/usr/bin/python3 is not Python 3.11 or newer")?;
        return Ok(None);
    };
    if !python.has("torch")? {
        let why = format!(
            "{python} has no torch (Debian: apt-get install --no-install-recommends python3-torch python3-venv, 152 MB to fetch, some minutes)"
        );
        note(run, "torch", &why)?;
        return Ok(None);
    }
    match Environment::prepare_over_system("torch", &python, &["torch"])? {
        Ok(environment) => {
            environment.install(wheel)?;
            Ok(Some(environment))
        }
        Err(Missing(why)) => {
            note(run, "torch", &why)?;
            Ok(None)
        }
    }
}

/// What pip makes of the wheel, the folder and the archive; each is a check.
fn by_pip(run: &Run, builder: &Builder, python: &Interpreter, wheel: &Path) -> Result<u64> {
    // With its dependencies, into an environment that has nothing.
    let environment = Environment::empty("from-wheel", python)?;
    run.program(environment.pip("install").arg(wheel), INSTALL_LIMIT)?;
    first_use(run, &environment, "wheel")?;
    let environment = Environment::empty("from-folder", python)?;
    let mut pip = environment.pip("install");
    process::without_our_package(&mut pip).env("CARGO_TARGET_DIR", process::target_folder());
    run.program(pip.arg(python::sources()), INSTALL_LIMIT)?;
    first_use(run, &environment, "folder")?;
    let archive = builder.archive(&process::target_folder().join("python/wheels"))?;
    let again = builder.wheel_from(&archive)?;
    environment.install(&again)?;
    first_use(run, &environment, "archive")?;
    Ok(3)
}

/// That what was installed works.
fn first_use(run: &Run, environment: &Environment, name: &str) -> Result<()> {
    let mut program = Command::new(environment.program("python"));
    // -P: not what lies in the current folder.
    program.args(["-P", "-c", FIRST_USE, name]).current_dir("/");
    let ran = run.program(&mut program, PROGRAM_LIMIT)?;
    ensure!(ran.output.starts_with("15.0 /"), "the first use of the {name} says: {}", ran.output);
    Ok(())
}

/// What is in `python/tests`, with what is installed in `environment`. In one Python there are
/// `many` trials at random, and the tests that are the same in all of them.
fn tests(run: &Run, environment: &Environment, many: bool, part: Part) -> Result<Done> {
    let plugin = process::workspace().join("xtask/src/test/python");
    let registry = Registry::new(&environment.name())?;
    let mut pytest = Command::new(environment.program("pytest"));
    pytest.args(["-p", "areas_ci", "-p", "no:cacheprovider", "-q", "--color=no", "--durations=8"]);
    pytest.args(["--timeout=180", "-o", "faulthandler_timeout=150", "--rootdir"]).arg(python::sources());
    let alone = tests_folder().join(Part::ALONE);
    match part {
        Part::Beside => {
            let once = Part::ONCE.iter().filter(|_| !many).map(|name| tests_folder().join(name));
            for file in once.chain([alone]) {
                pytest.arg("--ignore").arg(file);
            }
            pytest.arg(tests_folder())
        }
        Part::Alone => pytest.arg(alone),
        Part::Torch => pytest.args(Part::TORCH.map(|name| tests_folder().join(name))),
    };
    pytest.current_dir(&registry.0).env("PATH", path_with_flight()?);
    pytest.env("PYTHONPATH", plugin).env("PYTHONDONTWRITEBYTECODE", "1");
    pytest.env("AREAS_DIR", registry.0.join("registry")).env("HYPOTHESIS_STORAGE_DIRECTORY", &registry.0);
    pytest.env("AREAS_TRIALS", if many { "200" } else { "40" });
    pytest.env("AREAS_FUZZ_EXAMPLES", if many { "15" } else { "4" });
    pytest.env("AREAS_TEST_FILTER", run.options.filter.join("\n"));
    let ran = match part {
        Part::Beside | Part::Torch => run.start_beside(&mut pytest, Some(TESTS_LIMIT))?,
        Part::Alone => run.start(&mut pytest, Some(TESTS_LIMIT))?,
    };
    let mut counts = Counts::of_pytest(&ran.output);
    // The log has them.
    counts.passed += std::mem::take(&mut counts.skipped);
    // pytest's 5: the filter left nothing.
    let nothing = !run.options.filter.is_empty() && ran.status.code() == Some(5);
    if ran.timed_out {
        return Ok(Done::failed(counts, format!("pytest was still running after {TESTS_LIMIT:?}")));
    }
    if !ran.status.success() && !nothing {
        let python = &environment.interpreter;
        return Ok(Done::failed(counts, format!("pytest failed in {python} ({})", ran.status)));
    }
    ensure!(nothing || counts.passed > 0, "pytest says that it ran no test in {}", environment.interpreter);
    Ok(Done::counted(counts))
}

/// The search path, with the folder of `areas-flight` first.
fn path_with_flight() -> Result<std::ffi::OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = [process::target_folder().join("debug")].into_iter().chain(std::env::split_paths(&path));
    Ok(std::env::join_paths(folders)?)
}

/// A folder for one run of the tests: where they start, with a registry that no other run has.
struct Registry(PathBuf);

impl Registry {
    fn new(environment: &str) -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("areas-python-{environment}-{}", std::process::id()));
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(Self(folder))
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn tests_folder() -> PathBuf {
    python::sources().join("tests")
}

/// Whether the filter may mean tests in Python: the whole step is built for none.
fn has_tests(filter: &[String]) -> Result<bool> {
    if filter.is_empty() {
        return Ok(true);
    }
    let folder = tests_folder();
    for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("test_") && named(&name, &fs::read_to_string(&path)?, filter) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a file has tests whose names contain one of these: `FILE`, `test_NAME`, or pytest's
/// `FILE::NAME`.
fn named(file: &str, text: &str, filter: &[String]) -> bool {
    let parts = |part: &String| -> bool {
        let names = text.lines().filter_map(|line| {
            let line = line.trim_start().trim_start_matches("async ");
            line.strip_prefix("def ").or_else(|| line.strip_prefix("class "))
        });
        let mut names = names.filter_map(|rest| rest.split(['(', ':']).next());
        let part = part.split('[').next().unwrap_or_default();
        let last = part.rsplit("::").next().unwrap_or_default();
        part.split("::").all(|piece| piece.is_empty() || file.contains(piece) || text.contains(piece))
            && (file.contains(last)
                || names.any(|name| name.to_lowercase().starts_with("test") && name.contains(last)))
    };
    filter.iter().any(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_looked_for_in_names_of_tests() {
        let text = "class TestList:\n    def test_find(self):\n        pass\ndef helper_x(): pass\n";
        let check = |filter: &str, expected: bool| {
            assert_eq!(named("test_area.py", text, &[filter.to_owned()]), expected, "{filter}");
        };
        check("find", true);
        check("test_area", true);
        check("TestList", true);
        check("test_area.py::TestList::test_find[1]", true);
        check("helper_x", false);
        check("registry::squatters", false);
    }
}
