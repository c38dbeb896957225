"""CPython's own tests of `multiprocessing.shared_memory`, as they are in this interpreter, against
the drop-in.

They run in a virtual environment that differs from this one by one line: areas takes the place of
the standard library's module as Python starts, so that every process that a test starts has it,
too. A test that is listed in DIFFERENCES must fail as it says there; every other one must pass.
`docs/python.md` has the same list.
"""

import ast
import importlib.util
import json
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

HERE = Path(__file__).parent
METHODS = ["fork", "spawn", "forkserver"]

# Tests that demand what areas refuse: what they demand, and what their failure says.
DIFFERENCES = {
    "test_shared_memory_cleaned_after_process_termination": (
        "a warning of the tracker's that a segment leaked, after a kill. Nothing leaks, and there is no tracker",
        "resource_tracker: There appear to be 1 leaked",
    ),
    "test_shared_memory_tracking": (
        "that a process that only attached destroys the segment under the others when it ends (track=True). No process destroys what "
        "others hold",
        "resource_tracker: There appear to be 1 leaked",
    ),
}


def names():
    """The tests, read and not imported; none where this Python comes without CPython's tests."""
    if importlib.util.find_spec("test") is None:
        return []
    spec = importlib.util.find_spec("test._test_multiprocessing")
    if spec is None or spec.origin is None:
        return []
    tree = ast.parse(Path(spec.origin).read_text())
    classes = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "_TestSharedMemory")
    return [
        node.name
        for found in classes
        for node in found.body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]


NAMES = names()


@pytest.fixture(scope="session")
def python(tmp_path_factory):
    """A Python in which areas has taken the standard library's place before anything else is
    imported."""
    folder = tmp_path_factory.mktemp("cpython") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / "bin" / "python"
    paths = {"base": str(folder), "platbase": str(folder)}
    packages = Path(sysconfig.get_path("purelib", vars=paths))
    (packages / "areas_in_place.pth").write_text(
        f"{sysconfig.get_path('platlib')}\nimport areas.shared_memory; areas.shared_memory.install()\n"
    )
    return python


@pytest.fixture(scope="session")
def ends(python, tmp_path_factory):
    """How the tests end by start method: each set is run once, and where that fails, so does each
    of its tests."""
    known = {}

    def run(method):
        report = tmp_path_factory.mktemp(method) / "report.json"
        command = [python, "-W", "error::ResourceWarning", HERE / "cpython" / "driver.py", method, report]
        try:
            ran = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=170)
        except subprocess.TimeoutExpired as error:
            return f"{error}; until then it said: {error.stdout}"
        return json.loads(report.read_text()) if report.exists() else ran.stdout

    def of(method):
        if method not in known:
            known[method] = run(method)
        assert isinstance(known[method], dict), known[method]
        return known[method]

    return of


def test_cpythons_tests_are_here():
    if not NAMES:
        pytest.skip("this Python comes without CPython's own tests (Debian: libpython3.X-testsuite)")
    assert len(NAMES) >= 13


@pytest.mark.parametrize("method", METHODS if NAMES else [])
@pytest.mark.parametrize("name", NAMES)
def test_cpython(ends, method, name):
    end = ends(method)[name]
    if name in DIFFERENCES:
        why, says = DIFFERENCES[name]
        assert end["end"] == "failed", f"it passes, though it demands {why}: DIFFERENCES is out of date"
        assert says in end["text"]
    else:
        assert end["end"] == "passed", end["text"]


def test_each_difference_is_named_in_the_docs():
    text = (HERE.parent.parent / "docs" / "python.md").read_text()
    assert [name for name in DIFFERENCES if f"`{name}`" not in text] == []
