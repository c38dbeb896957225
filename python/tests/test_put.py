"""Putting arrays, buffers and files; progress; interruption."""

import array
import io
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import areas
from conftest import mapped_areas

SOURCES = {
    "one dimension": np.arange(10, dtype="i8"),
    "three": np.arange(24, dtype="f4").reshape(2, 3, 4),
    "Fortran order": np.asfortranarray(np.arange(12.0).reshape(3, 4)),
    "strided": np.arange(100, dtype="u2")[::-3],
    "scalar": np.float64(3.5),
    "empty": np.empty((3, 0), "i4"),
    "structured": np.array([(1, 2.5), (3, 4.5)], dtype=[("n", "i2"), ("x", "f8")]),
    "strings": np.array(["a", "bcd"]),
    "times": np.array(["2026-01-01", "2026-01-02"], "M8[D]"),
    "list": [[1, 2], [3, 4]],
    "bytes": b"hello",
    "bytearray": bytearray(b"hello"),
    "memoryview": memoryview(b"hello")[1:3],
    "array.array": array.array("d", [1.5, 2.5]),
}


@pytest.mark.parametrize("source", SOURCES)
def test_what_is_put_is_there(name, source):
    expected = np.frombuffer(SOURCES[source], "u1") if source.startswith("byte") else np.asarray(SOURCES[source])
    with areas.put(SOURCES[source], name) as area:
        assert area.frozen and area.readonly
        assert area.array.shape == expected.shape and area.array.dtype == expected.dtype
        assert np.array_equal(area.array, expected)
        assert area.array.size == 0 or not np.shares_memory(area.array, expected)


def test_large_arrays_in_pieces(name):
    rng = np.random.default_rng(1)
    source = rng.integers(0, 255, (5, 3000, 3001), "u1")
    for view in (source, source[:, ::2], source.transpose(2, 0, 1), source[::-1, :, 5:]):
        reported = []
        with areas.put(view, progress=lambda done, total: reported.append((done, total)), freeze=False) as area:
            assert not area.frozen and np.array_equal(area.array, view)
        assert reported[-1] == (view.nbytes, view.nbytes)
        assert [done for done, _ in reported] == sorted({done for done, _ in reported})


def test_files(name, tmp_path):
    path = tmp_path / "data.bin"
    data = np.random.default_rng(2).integers(0, 1 << 30, (1000, 5000), "i4")
    data.tofile(path)
    reported = []
    with areas.put(path, name, dtype="i4", shape=data.shape, progress=lambda *at: reported.append(at)) as area:
        assert area.frozen and np.array_equal(area.array, data)
    assert reported[-1] == (data.nbytes, data.nbytes)
    with areas.put(str(path)) as area:
        assert area.dtype == "u1" and bytes(area.buf) == data.tobytes()
    with open(path, "rb") as file, areas.put(file, dtype="i4") as area:
        assert np.array_equal(area.array, data.ravel())
    with pytest.raises(areas.InvalidInput, match="20000000 bytes as an array of shape"):
        areas.put(path, shape=(3, 3), dtype="i4")
    with pytest.raises(FileNotFoundError):
        areas.put(tmp_path / "nothing", name)
    (tmp_path / "empty").touch()
    with areas.put(tmp_path / "empty") as area:
        assert area.array.shape == (0,)


def test_what_cannot_be_shared(name):
    for wrong in ([object()], {1: 2}, np.array([None]), np.array(["a", None], dtype=object)):
        with pytest.raises(areas.InvalidInput, match="Python objects"):
            areas.put(wrong, name)
    with pytest.raises(areas.NotFound):
        areas.find(name)


def test_no_process_sees_it_before_it_is_complete(name):
    seen = []

    def look(done, total):
        seen.append(done)
        with pytest.raises(areas.NotFound):
            areas.find(name)

    with areas.put(np.ones(64 << 20, "u1"), name, progress=look):
        assert areas.find(name).frozen
    assert len(seen) >= 4


def test_what_progress_raises_leaves_nothing(name, tmp_path):
    class Enough(Exception):
        pass

    def enough(done, total):
        raise Enough

    path = tmp_path / "file"
    path.write_bytes(bytes(128 << 20))
    before = mapped_areas()
    with pytest.raises(Enough):
        areas.put(np.ones(64 << 20, "u1"), name, progress=enough)
    with pytest.raises(Enough):
        areas.put(path, name, progress=enough)
    with pytest.raises(Enough):
        areas.create(name, nbytes=256 << 20, populate=True, progress=enough)
    assert mapped_areas() == before
    with areas.create(name, nbytes=256 << 20) as area:
        with pytest.raises(Enough):
            area.populate(progress=enough)
        # It is whole, and usable.
        area.array[-1] = 1
        area.populate()
        assert area.residency().resident == 256 << 20


def interrupted(code, after=0.3):
    """Runs code in a process that gets a SIGINT; what it wrote, and how long it took from then
    on."""
    start = "import areas, numpy as np, sys\nprint('ready', flush=True)\ntry:\n    "
    end = "\nexcept KeyboardInterrupt:\n    print('interrupted', sum('/memfd:area:' in l for l in open('/proc/self/maps')))\n"
    with subprocess.Popen([sys.executable, "-c", start + code + end], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        time.sleep(after)
        process.send_signal(signal.SIGINT)
        begun = time.monotonic()
        out = process.stdout.read()
        return out.strip(), time.monotonic() - begun


BLOCKING = {
    "wait": "areas.wait({name!r})",
    "receive": "import socket; a, b = socket.socketpair(); areas.receive(a)",
    "freeze": "a = areas.create(shape=3); x = a.array; a.freeze(timeout=60)",
}


@pytest.mark.parametrize("call", BLOCKING)
def test_waiting_hears_ctrl_c(name, call):
    out, seconds = interrupted(BLOCKING[call].format(name=name))
    assert out.startswith("interrupted") and seconds < 2


WORKING = {
    "populate": "areas.create({name!r}, nbytes=8 << 30, populate=True)",
    "lock": "areas.create({name!r}, nbytes=8 << 30, lock='full')",
    "put": "areas.put(np.broadcast_to(np.zeros(1, 'u1'), 8 << 30), {name!r})",
    "file": "areas.put({path!r}, {name!r})",
}


@pytest.mark.parametrize("call", WORKING)
def test_long_calls_hear_ctrl_c_and_leave_nothing(name, call, tmp_path):
    path = tmp_path / "sparse"
    with open(path, "wb") as file:
        file.truncate(8 << 30)
    out, seconds = interrupted(WORKING[call].format(name=name, path=str(path)))
    assert out == "interrupted 0" and seconds < 3
    with pytest.raises(areas.NotFound):
        areas.find(name)


def test_long_calls_release_the_interpreter(name):
    counted = 0
    done = threading.Event()

    def count():
        nonlocal counted
        while not done.is_set():
            counted += 1
            time.sleep(0.001)

    thread = threading.Thread(target=count)
    thread.start()
    try:
        with areas.create(nbytes=512 << 20) as area:
            begun, counted = time.monotonic(), 0
            area.populate()
            seconds, during = time.monotonic() - begun, counted
    finally:
        done.set()
        thread.join()
    # With the interpreter held the other thread would not have come on once in all that time.
    assert during > seconds * 50, (during, seconds)


def test_the_interpreter_is_not_held_while_an_area_is_busy(name):
    """Another thread asks an area that is being populated, whose progress function needs the
    interpreter."""
    with areas.create(nbytes=256 << 20) as area:
        answers, asked = [], threading.Event()

        def ask():
            asked.wait()
            answers.append(area.nbytes)

        thread = threading.Thread(target=ask)
        thread.start()
        area.populate(progress=lambda *_: (asked.set(), time.sleep(0.001)))
        thread.join(20)
        assert answers == [256 << 20]
        caught = []

        def reenter(*_):
            try:
                area.frozen
            except areas.Busy as error:
                caught.append(error)

        area.populate(progress=reenter)
        assert caught and "progress function" in str(caught[0])


def test_a_bar(name, capsys, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with areas.put(np.ones(64 << 20, "u1"), progress=True):
        pass
    assert "100% of 64 MiB" in terminal.getvalue() and terminal.getvalue().endswith("\r\x1b[K")
    file = io.StringIO()
    monkeypatch.setattr(sys, "stderr", file)
    with areas.put(np.ones(64 << 20, "u1"), progress=True):
        pass
    assert file.getvalue() == ""


def test_a_bar_of_tqdm(name):
    pytest.importorskip("tqdm", reason="SKIPPED: tqdm is not installed")
    with areas.put(np.ones(64 << 20, "u1"), progress=True) as area:
        assert area.array[-1] == 1


def test_source_that_changes_size_is_an_error(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(bytes(200 << 20))
    cut = threading.Event()

    def shrink(done, total):
        if not cut.is_set():
            os.truncate(path, 1000)
            cut.set()

    before = mapped_areas()
    with pytest.raises(areas.Error, match="the file ended"):
        areas.put(path, progress=shrink)
    assert mapped_areas() == before


@pytest.mark.parametrize("dtype", ["u1", "f8", "<M8[ns]", "S7", [("a", "i2"), ("b", "f8", (2,))]])
def test_large_arrays_are_written_by_the_kernel(name, dtype, monkeypatch):
    from areas import _copying

    written = []
    pwrite = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, part, at: written.append(len(part)) or pwrite(fd, part[: len(part) // 2 + 1], at))
    count = (20 << 20) // np.dtype(dtype).itemsize
    source = np.random.default_rng(2).integers(0, 255, count * np.dtype(dtype).itemsize, "u1").view(dtype)
    with areas.put(source, name) as area:
        assert written and area.frozen and area.array.tobytes() == source.tobytes()
        assert area.residency().resident >= source.nbytes
    # Locked pages have to be mapped: these come in by way of the mapping.
    written.clear()
    with areas.put(source, name, lock="lazy") as area:
        assert not written and area.array.tobytes() == source.tobytes()
    # Where the program has closed the descriptor, and another file has its number, that one is not
    # written.
    with areas.create(nbytes=1 << 20) as area, open("/dev/null", "wb") as other:
        number, _, _ = area._holding.descriptor
        os.dup2(other.fileno(), number)
        assert not _copying.write(area._holding, np.ones(1 << 20, "u1"), None)
        os.close(number)
        assert not _copying.write(area._holding, np.ones(1 << 20, "u1"), None)
        assert not written


def test_what_is_no_regular_file_is_refused(tmp_path):
    """Not an area of no bytes, which is what its size says."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    keeper = os.open(pipe, os.O_RDWR)
    try:
        for path in ("/dev/null", "/dev/zero", pipe):
            with pytest.raises(areas.Unsupported, match=f"cannot put '{path}' into an area: it is not a regular file") as raised:
                areas.put(path)
            assert "/dev/dax0.0" in raised.value.remedy
    finally:
        os.close(keeper)
    with pytest.raises(IsADirectoryError):
        areas.put(tmp_path)
