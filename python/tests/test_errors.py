"""Errors and types."""

import errno
import pickle
import subprocess
import sys
import traceback
from pathlib import Path

import numpy as np
import pytest

import areas
from areas import _errors

ROOT = Path(__file__).parent.parent


def test_every_kind_of_the_library_has_a_class():
    source = ROOT.parent / "crates/areas/src/error/mod.rs"
    if not source.exists():
        pytest.skip("SKIPPED: the library's source is not beside the package")
    body = source.read_text().split("pub enum ErrorKind {", 1)[1].split("\n}", 1)[0]
    kinds = {line.strip(" ,") for line in body.splitlines() if line.strip() and not line.strip().startswith("//")}
    # Io and System have no class of their own: they are `Error`, with the kernel's number.
    assert kinds - {"Io", "System"} <= set(_errors._KINDS)


CLASSES = sorted({value for value in vars(_errors).values() if isinstance(value, type) and issubclass(value, areas.Error)}, key=str)


@pytest.mark.parametrize("kind", CLASSES)
def test_each_is_an_oserror_with_a_number_a_remedy_and_pickles(kind):
    error = kind("cannot do it: 7 of 9", remedy="do less")
    assert isinstance(error, OSError) and isinstance(error.errno, int) and error.errno > 0
    assert str(error) == "cannot do it: 7 of 9" and error.remedy == "do less"
    assert error.strerror and error.args == ("cannot do it: 7 of 9",)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind and str(again) == str(error) and again.remedy == "do less" and again.errno == error.errno
    shown = "".join(traceback.format_exception(error))
    assert "help: do less" in shown
    assert kind("no remedy").remedy is None and kind("x", errno=5).errno == 5
    assert getattr(areas, kind.__name__) is kind


def test_they_are_what_others_expect():
    pairs = {
        areas.NotFound: FileNotFoundError,
        areas.HolderGone: areas.NotFound,
        areas.NameTaken: FileExistsError,
        areas.TimedOut: TimeoutError,
        areas.NotPermitted: PermissionError,
        areas.Frozen: PermissionError,
        areas.InvalidInput: ValueError,
        areas.NoSuchProcess: ProcessLookupError,
    }
    for kind, base in pairs.items():
        assert issubclass(kind, base)


def test_the_kernels_word_is_in_the_text(name):
    import resource

    # (Modules are imported before that.)
    areas.create(shape=1).close()
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, limit[1]))
        with pytest.raises(areas.Limit) as caught:
            areas.create(name, shape=3)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)
    assert caught.value.errno == errno.EMFILE and "EMFILE" in str(caught.value)
    assert "ulimit -n" in caught.value.remedy


@pytest.mark.parametrize(
    "wrong",
    [
        dict(),
        dict(nbytes=3, shape=3),
        dict(nbytes=-1),
        dict(nbytes=9, dtype="f8"),
        dict(shape=(3, -1)),
        dict(shape=2.5),
        dict(shape="x"),
        dict(shape=(1 << 40, 1 << 40)),
        dict(shape=3, dtype="O"),
        dict(shape=3, dtype="S"),
        dict(shape=3, dtype="no such"),
        dict(shape=3, dtype=[("a", "O")]),
        dict(shape=30, max_shape=20),
        dict(shape=3, note="x" * 300),
    ],
    ids=str,
)
def test_bad_input_is_an_error_and_leaves_nothing(name, wrong):
    with pytest.raises(areas.InvalidInput):
        areas.create(name, **wrong)
    with pytest.raises(areas.NotFound):
        areas.find(name)


def test_bad_names():
    for wrong in ("", "x" * 256, b"a\0b"):
        with pytest.raises(areas.InvalidInput):
            areas.create(wrong, shape=3)
    with areas.create(b"\xff\xfe", shape=3) as area:
        assert area.name == b"\xff\xfe" and areas.find(b"\xff\xfe").shape == (3,)
    with areas.create("grüße \U0001f600", shape=3) as area:
        assert areas.find("grüße \U0001f600").name == area.name


def mypy(*arguments):
    pytest.importorskip("mypy", reason="SKIPPED: mypy is not installed")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", "/dev/null", *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    return done.returncode, done.stdout


@pytest.mark.timeout(300)
def test_types_of_the_package_and_of_a_program(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    status, out = mypy(str(program))
    revealed = [line.split('"')[1] for line in out.splitlines() if "Revealed type" in line]
    assert status == 0, out
    assert revealed == ["areas._area.Area", "areas._array.AreaArray", "int", "areas._measured.Residency", "areas._area.Area"]


PROGRAM = """
import socket
import areas

a = areas.create("types", shape=(3, 4), dtype="f8", policy="interleave", nodes="all")
reveal_type(a)
reveal_type(a.array)
reveal_type(areas.list()[0].pid)
reveal_type(a.residency())
with areas.find("types", write=True) as b:
    reveal_type(b)
    b.array[0] = 1
    memoryview(b.memory)
try:
    areas.put([1, 2, 3], "other", progress=lambda done, total: None).freeze(timeout=2.0)
except areas.Busy as error:
    print(error.remedy, error.errno)
one, two = socket.socketpair()
areas.send(one, a, read_only=True)
areas.receive(two, 1.0).close()
"""


def test_every_public_name_has_a_docstring_and_is_there():
    for public in areas.__all__:
        value = getattr(areas, public)
        assert value.__doc__, public
        for attribute, member in vars(value).items() if isinstance(value, type) and value.__module__ == "areas._area" else ():
            if callable(member) and not attribute.startswith("_"):
                assert member.__doc__, (public, attribute)
    assert set(areas.__all__) <= set(dir(areas))
    with pytest.raises(AttributeError):
        areas.no_such_name


def test_an_older_name_is_still_there():
    with pytest.warns(DeprecationWarning, match="areas.UnmovedRange now"):
        assert areas.Stayed is areas.UnmovedRange


def test_the_examples_in_docstrings():
    import doctest

    result = doctest.testmod(areas, optionflags=doctest.ELLIPSIS)
    assert result.attempted >= 3 and result.failed == 0
    assert isinstance(np.float64(1), float)
