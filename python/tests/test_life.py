"""Lifetime: by reference, through threads, forks and the interpreter's end; what no sequence of
calls may do."""

import gc
import multiprocessing
import os
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest

import areas
from conftest import mapped_areas


def run(code, *arguments, check=True, env=None):
    """Runs code in an interpreter of its own with faulthandler: a crash is a failed test, with a
    traceback."""
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", textwrap.dedent(code), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env=env,
    )
    if check:
        assert done.returncode == 0, done.stderr
    return done


KEEPERS = {
    "array": lambda a: a.array,
    "view": lambda a: a.array[3:5, ::-1],
    "plain view": lambda a: np.asarray(a.array)[1:],
    "memoryview": lambda a: a.buf,
    "part of a memoryview": lambda a: a.buf[10:20],
    "memoryview of an array": lambda a: memoryview(a.array),
    "memory": lambda a: a.memory,
    "frombuffer": lambda a: np.frombuffer(a.memory, "u1"),
    "array interface": lambda a: np.asarray(Interface(a)),
    "asarray": lambda a: np.asarray(a),
    "iterator": lambda a: a.array.flat,
    "ctypes": lambda a: a.array.ctypes,
    "interface's data": lambda a: a.__array_interface__["data"],
    "broadcast": lambda a: np.broadcast_to(a.array[0], (3, 5)),
}


class Interface:
    """Has nothing but the array interface."""

    def __init__(self, area):
        self.__array_interface__ = area.__array_interface__


@pytest.mark.parametrize("keeper", KEEPERS)
def test_the_mapping_goes_with_the_last_reference(name, keeper):
    before = mapped_areas()
    area = areas.create(name, shape=(8, 5), dtype="u1")
    area.array[...] = np.arange(40).reshape(8, 5)
    kept = KEEPERS[keeper](area)
    area.close()
    del area
    gc.collect()
    assert mapped_areas() == before + 1
    # It can be read: all that a crash would come of.
    if isinstance(kept, (np.ndarray, memoryview)):
        assert bytes(kept) is not None
    del kept
    gc.collect()
    assert mapped_areas() == before


def test_a_released_memoryview_lets_go(name):
    before = mapped_areas()
    area = areas.create(name, shape=100)
    window = area.buf
    area.close()
    assert mapped_areas() == before + 1
    window.release()
    assert mapped_areas() == before
    with pytest.raises(ValueError):
        window[0]


def test_names_go_with_close_though_arrays_live(name):
    area = areas.create(name, shape=100)
    array = area.array
    area.close()
    with pytest.raises(areas.NotFound):
        areas.find(name)
    array[:] = 1
    with areas.create(name, shape=3, dtype="u2") as other:
        assert areas.find(name).shape == (3,)
        assert other.array.sum() == 0
    assert array.sum() == 100


def test_unlink_takes_the_name_alone(name):
    with areas.create(name, shape=100) as area:
        area.unlink()
        with pytest.raises(areas.NotFound):
            areas.find(name)
        area.array[:] = 1
        assert area.name is None and area.id is None
        area.unlink()


def test_who_finds_it_keeps_the_name(name):
    area = areas.create(name, shape=4)
    code = f"import areas; a = areas.find({name!r}, keep_name=KEEP); print(flush=True); input()"
    for keep in (False, True):
        with subprocess.Popen(
            [sys.executable, "-c", code.replace("KEEP", str(keep))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as other:
            other.stdout.readline()
            holders = [info.pid for info in areas.list() if info.name == name]
            assert holders == ([os.getpid(), other.pid] if os.getpid() < other.pid else [other.pid, os.getpid()]) or (
                not keep and holders == [os.getpid()]
            )
            assert {holder.pid for holder in area.holders()} == {os.getpid(), other.pid}
            if keep:
                area.close()
                assert areas.find(name, keep_name=False).shape == (4,)
            other.communicate("\n")
    with pytest.raises(areas.NotFound):
        areas.find(name)


def test_cycles_are_collected_before_freezing_is_refused(name):
    with areas.create(name, shape=4) as area:
        cycle = [area.array]
        cycle.append(cycle)
        del cycle
        area.freeze()


def test_no_array_is_made_for_writing_while_it_is_frozen(name):
    """Threads that take arrays and write, and one that freezes: no crash, and each array can be
    written or is read-only."""
    code = """
        import areas, threading
        for _ in range(60):
            a = areas.create(shape=100_000)
            def write():
                while True:
                    try:
                        a.array[:] = 1
                    except ValueError:
                        return
            threads = [threading.Thread(target=write) for _ in range(3)]
            for t in threads: t.start()
            while True:
                try:
                    a.freeze(timeout=0.02)
                    break
                except areas.Busy:
                    pass
            for t in threads: t.join()
            assert not a.array.flags.writeable
        print("whole")
    """
    assert run(code).stdout == "whole\n"


def test_threads_make_find_and_close(name):
    errors = []

    def work(number):
        try:
            for turn in range(30):
                with areas.create(f"{name} {number}", shape=50, dtype="i4") as area:
                    area.array[:] = turn
                    with areas.find(f"{name} {number}") as found:
                        assert found.array.sum() == turn * 50
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_a_forked_child_has_the_same_memory(name):
    with areas.create(name, shape=4, dtype="i8") as area:
        array = area.array
        parents = area.id
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                array[0] = 11
                area.array[1] = 22
                # A team of its own, with an id of its own; the name is kept by it.
                areas.list()
                os.write(writing, f"{area.name} {area.id != parents} {areas.find(area.name).array[0]}".encode())
                status = 0
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        assert os.read(reading, 1000).decode() == f"{name} True 11"
        assert list(array) == [11, 22, 0, 0]
        assert areas.find(name).array[1] == 22
        os.close(reading)
        os.close(writing)


def test_a_child_that_was_forked_in_the_middle_of_a_call_is_reported(name):
    code = """
        import areas, os, threading, sys
        a = areas.create(nbytes=512 << 20)
        begun = threading.Event()
        go = threading.Event()
        def report(done, total):
            begun.set(); go.wait(20)
        t = threading.Thread(target=lambda: a.populate(progress=report)); t.start()
        begun.wait()
        pid = os.fork()
        if pid == 0:
            try:
                a.nbytes
            except areas.Busy as error:
                print(error, flush=True)
                os._exit(0)
            os._exit(1)
        status = os.waitpid(pid, 0)[1]
        go.set(); t.join()
        assert a.nbytes == 512 << 20
        sys.exit(status)
    """
    done = run(code)
    assert "in the middle of `populate`" in done.stdout


def test_a_child_that_was_forked_while_threads_work_can_work(name):
    code = """
        import areas, os, threading
        # (A module that one thread imports for the first time while another one forks is never
        # imported in the child: Python's.)
        areas.create(shape=1).close(); areas.find
        stop = threading.Event()
        def work():
            while not stop.is_set():
                with areas.create("fork and threads %d" % os.getpid(), shape=1000) as a:
                    a.array[:] = 1
        threads = [threading.Thread(target=work) for _ in range(2)]
        for t in threads: t.start()
        for _ in range(40):
            pid = os.fork()
            if pid == 0:
                status = 1
                try:
                    import signal; signal.alarm(20)
                    with areas.create("of the child %d" % os.getpid(), shape=10) as a:
                        areas.find(a.name)
                    status = 0
                finally:
                    os._exit(status)
            assert os.waitpid(pid, 0)[1] == 0
        stop.set()
        for t in threads: t.join()
        print("whole")
    """
    assert run(code).stdout == "whole\n"


ENDS = {
    "in a module": "import areas; a = areas.create(shape=10_000_000); x = a.array",
    "in a cycle": "import areas\nclass C: pass\nc = C(); c.c = c; c.a = areas.create(shape=10_000_000); c.x = c.a.array",
    "in a builtin": "import areas, builtins; builtins.kept = areas.create(shape=10_000_000).array",
    "in a daemon thread": (
        "import areas, threading, time\n"
        "def work():\n    a = areas.create(shape=10_000_000)\n    x = a.array\n"
        "    while True:\n        a.populate(); areas.create(shape=10_000_000)\n"
        "threading.Thread(target=work, daemon=True).start(); time.sleep(0.3)"
    ),
    "in a daemon thread that waits": (
        "import areas, threading, time\n"
        "threading.Thread(target=areas.wait, args=('never',), daemon=True).start(); time.sleep(0.3)"
    ),
    "in atexit": (
        "import areas, atexit\n"
        "a = areas.create('at exit', shape=10_000_000)\n"
        "atexit.register(lambda: (a.array.sum(), areas.find('at exit'), a.close(), areas.create(shape=5)))"
    ),
    "in a finalizer": (
        "import areas\n"
        "class D:\n    def __del__(self): self.x.sum(); areas.create(shape=5_000_000).array[:] = 1\n"
        "d = D(); d.x = areas.create(shape=10).array"
    ),
    "sys.modules gone": "import areas, sys; a = areas.create(shape=10_000_000); x = a.array; del sys.modules['areas']; sys.modules.clear()",
}


@pytest.mark.parametrize("end", ENDS)
def test_the_interpreter_ends_whole(end):
    done = run(ENDS[end])
    assert "Fatal" not in done.stderr and "Segmentation" not in done.stderr


def test_subinterpreters_are_refused():
    code = """
        import areas._areas
        try:
            import _xxsubinterpreters as interpreters
        except ImportError:
            import _interpreters as interpreters
        number = interpreters.create()
        try:
            result = interpreters.run_string(number, "import areas._areas")
            print("refused" if result is not None else "imported", result)
        except Exception as error:
            print("refused", error)
    """
    done = run(code)
    assert done.stdout.startswith("refused"), done
    assert "subinterpreters" in done.stdout


def test_import_is_cheap():
    """`import areas` imports nothing large beside NumPy. (What it takes is measured by `cargo xtask
    bench python import`.)"""
    code = "import sys, numpy; before = {*sys.modules}; import areas; areas.create; print(*sorted({*sys.modules} - before))"
    new = [module for module in run(code).stdout.split() if module.partition(".")[0] != "areas"]
    assert set(new) <= {"__future__", "errno", "threading"}, new
    bare = run("import sys, areas; print('numpy' in sys.modules)")
    assert bare.stdout == "False\n"


def test_hundreds_of_areas_and_none_left(name):
    before = len(os.listdir("/proc/self/fd"))
    kept = [areas.create(f"{name} {number}", shape=10).array for number in range(300)]
    assert len(kept) == 300
    del kept
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) <= before + 4


def test_kill_leaves_nothing(name):
    context = multiprocessing.get_context("spawn")
    import workers

    ours, theirs = context.Pipe()
    child = context.Process(target=workers.ends_at_once, args=(name, theirs))
    child.start()
    ours.recv()
    assert areas.find(name, keep_name=False).shape == (4,)
    child.kill()
    child.join()
    with pytest.raises(areas.NotFound):
        areas.find(name)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="SKIPPED: PEP 688 for classes in Python is from 3.12 on")
def test_an_area_is_a_buffer(name):
    before = mapped_areas()
    area = areas.create(name, shape=(2, 3), dtype="u2")
    window = memoryview(area)
    area.close()
    window[0] = 5
    assert window.nbytes == 12 and mapped_areas() == before + 1
    window.release()
    gc.collect()
    assert mapped_areas() == before


FORKS_WHILE_THREADS_MAKE_AREAS = """
import areas, gc, os, signal, threading

areas.create("before", nbytes=1).close()           # an import in a thread is not to be in the middle as it forks
done, caught = threading.Event(), []

def churn(name):
    try:
        while not done.is_set():
            with areas.create(name, shape=(100,), dtype="f8") as area:
                area.array[0] = 1
                areas.find(name).close()           # a child that has it, too, may be the one that is found, and end
    except BaseException as error:
        caught.append(error)

threads = [threading.Thread(target=churn, args=(f"churn {n} {os.getpid()}",)) for n in range(3)]
for thread in threads:
    thread.start()
ends = set()
for _ in range(40):
    pid = os.fork()
    if pid == 0:
        signal.alarm(60)
        status = 1
        try:
            with areas.create(f"child {os.getpid()}", nbytes=100) as area:
                area.array[0] = 1
            gc.collect()
            status = 0
        finally:
            os._exit(status)
    ends.add(os.waitpid(pid, 0)[1])
done.set()
for thread in threads:
    thread.join()
print(ends, caught)
"""


def test_a_process_forks_while_its_threads_make_areas():
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKS_WHILE_THREADS_MAKE_AREAS], capture_output=True, text=True, timeout=150
    )
    assert (ran.returncode, ran.stdout) == (0, "{0} []\n"), ran.stderr


AT_THE_END = """
import areas, atexit, gc, numpy as np, sys, threading

area = areas.create("ends", shape=10)
sys.kept = [area, area.array, memoryview(area.memory)]

class Cycle:
    def __init__(self):
        self.area, self.me = areas.create("ends in a cycle", nbytes=10), self

    def __del__(self):
        self.area.close()

cycle = Cycle()
atexit.register(lambda: areas.create("ends late", nbytes=5).close())
atexit.register(area.close)
threading.Thread(target=lambda: [areas.create("daemon", nbytes=10).close() for _ in range(10**7)], daemon=True).start()
slab = areas.Slab("ends: slab", 1 << 20)
kept = slab.put(np.arange(10))
gc.disable()
del cycle
"""


@pytest.mark.parametrize("how", [["-X", "dev"], ["-I"]])
def test_an_interpreter_that_ends_with_areas_ends_well(how):
    environment = {**os.environ, "PYTHONMALLOC": "debug"}
    ran = subprocess.run([sys.executable, *how, "-c", AT_THE_END], capture_output=True, text=True, timeout=100, env=environment)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_closed_standard_streams_are_not_taken_for_memory():
    program = (
        "import os\nfor stream in range(3): os.close(stream)\n"
        "import areas\narea = areas.create('no streams', shape=4, dtype='f8')\narea.array[0] = 3\n"
        "other = areas.find('no streams', write=True)\n"
        "taken = [stream for stream in range(3) if os.path.lexists(f'/proc/self/fd/{stream}')"
        " and 'memfd' in os.readlink(f'/proc/self/fd/{stream}')]\n"
        "os._exit(0 if other.array[0] == 3 and not taken else 1)"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=60).returncode == 0
