"""What the drop-in promises beyond the standard library's, whose tests are in `test_cpython.py`."""

import contextlib
import gc
import multiprocessing
import os
import pickle
import signal
import struct
import subprocess
import sys
import time
from multiprocessing import managers

import numpy as np
import pytest

import areas
from areas.shared_memory import ShareableList, SharedMemory, SharedMemoryManager

MIB = 1 << 20


def mappings():
    """How many areas this process has mapped, as the kernel sees it."""
    with open("/proc/self/maps") as maps:
        return sum("/memfd:area" in line for line in maps)


def python(code, *args, **options):
    """Another Python, which runs to its end."""
    command = [sys.executable, "-X", "faulthandler", "-c", code, *args]
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, **options)


def test_the_size_is_what_was_asked_for(name):
    for size in (1, 10, 4096, 4097, 3 * MIB + 1):
        block = SharedMemory(name, create=True, size=size)
        other = SharedMemory(name)
        assert (block.size, len(block.buf), other.size, len(other.buf)) == (size,) * 4
        assert np.frombuffer(other.buf, "u1").shape == (size,)
        block.close()
        other.close()


def test_views_keep_the_memory_after_close(name):
    before = mappings()
    block = SharedMemory(name, create=True, size=MIB)
    array = np.ndarray((MIB // 8,), "f8", buffer=block.buf)
    part = block.buf[8:16]
    whole = np.frombuffer(block.buf, "u1")
    array[:] = 2.5
    block.close()
    block.close()
    assert block.buf is None and block.area is None
    array[1] = 7.5
    assert struct.unpack("d", part) == (7.5,)
    assert whole[:8].tobytes() == struct.pack("d", 2.5)
    assert mappings() == before + 1
    del array, part
    assert whole[8:16].tobytes() == struct.pack("d", 7.5)
    del whole
    gc.collect()
    assert mappings() == before, "the last view has gone, and the memory is still there"


def test_a_view_that_is_released_takes_nothing_from_an_array(name):
    block = SharedMemory(name, create=True, size=4096)
    view = block.buf
    array = np.ndarray((4096,), "u1", buffer=view)
    view.release()
    block.close()
    del block, view
    gc.collect()
    array[:] = 3
    assert array.sum() == 3 * 4096


def test_what_no_process_holds_is_gone(name):
    code = "import sys; from areas.shared_memory import SharedMemory; SharedMemory(sys.argv[1], create=True, size=10)"
    ran = python(code, name)
    assert (ran.returncode, ran.stdout) == (0, "")
    with pytest.raises(FileNotFoundError) as error:
        SharedMemory(name)
    assert error.value.errno == 2
    assert name in str(error.value)


def test_attaching_keeps_it_when_the_maker_is_killed(name):
    code = """if 1:
        import sys, time
        from areas.shared_memory import SharedMemory
        block = SharedMemory(sys.argv[1], create=True, size=4096)
        block.buf[:5] = b"howdy"
        print("ready", flush=True)
        time.sleep(60)
    """
    maker = subprocess.Popen([sys.executable, "-c", code, name], stdout=subprocess.PIPE)
    assert maker.stdout.readline() == b"ready\n"
    block = SharedMemory(name)
    maker.kill()
    maker.communicate()
    # It still has its name, by way of us.
    assert bytes(block.buf[:5]) == b"howdy"
    assert python("import sys; from areas import SharedMemory; print(bytes(SharedMemory(sys.argv[1]).buf[:5]))", name).stdout == "b'howdy'\n"
    block.close()
    with pytest.raises(FileNotFoundError):
        SharedMemory(name)


def test_a_name_that_is_taken_is_an_error(name):
    block = SharedMemory(name, create=True, size=10)
    with pytest.raises(FileExistsError) as error:
        SharedMemory(name, create=True, size=10)
    assert error.value.errno == 17
    assert name in str(error.value)
    block.unlink()
    again = SharedMemory(name, create=True, size=20)
    assert SharedMemory(name).size == 20
    assert block.size == len(block.buf) == 10
    block.close()
    again.close()


def test_unlink_takes_the_name_away_from_all(name):
    block, other = SharedMemory(name, create=True, size=10), SharedMemory(name)
    other.unlink()
    with pytest.raises(FileNotFoundError):
        SharedMemory(name)
    block.buf[0] = 9
    assert other.buf[0] == 9, "its holder keeps it"
    for each in (block, other):
        with pytest.raises(FileNotFoundError):
            each.unlink()
        each.close()
        with pytest.raises(FileNotFoundError):
            each.unlink()


def test_unlink_after_close(name):
    # While others hold it, it takes the name away from those.
    block, other = SharedMemory(name, create=True, size=10), SharedMemory(name)
    block.close()
    block.unlink()
    with pytest.raises(FileNotFoundError):
        SharedMemory(name)
    with pytest.raises(FileNotFoundError):
        other.unlink()
    other.close()
    # After the last holder it is gone already: once.
    block = SharedMemory(name, create=True, size=10)
    block.close()
    block.unlink()
    with pytest.raises(FileNotFoundError):
        block.unlink()
    # Another block of that name is none of ours.
    block = SharedMemory(name, create=True, size=10)
    block.close()
    other = SharedMemory(name, create=True, size=20)
    block.unlink()
    assert SharedMemory(name).size == 20
    other.close()


def test_names(name):
    for odd in ("ä ö\n", "a/b", "-", "x" * (255 - 12)):
        block = SharedMemory(f"{odd}{os.getpid():012}", create=True, size=1)
        assert SharedMemory(block.name).name == block.name
        assert pickle.loads(pickle.dumps(block)).name == block.name
        block.close()
    with pytest.raises(ValueError, match="NUL"):
        SharedMemory("a\0b", create=True, size=1)
    with pytest.raises(ValueError):
        SharedMemory("x" * 256, create=True, size=1)
    with pytest.raises(ValueError):
        SharedMemory("", create=True, size=1)
    with pytest.raises(ValueError, match="positive"):
        SharedMemory(name, create=True, size=0)
    with pytest.raises(FileNotFoundError):
        SharedMemory(name)


def test_more_than_there_is_leaves_no_name(name):
    with pytest.raises(OSError):
        SharedMemory(name, create=True, size=1 << 62)
    with pytest.raises(FileNotFoundError):
        SharedMemory(name)


def test_a_frozen_area_is_for_reading(name):
    area = areas.put(np.arange(4, dtype="u1"), name=name, freeze=True)
    block = SharedMemory(name)
    assert block.buf.readonly and bytes(block.buf) == bytes(range(4))
    with pytest.raises(TypeError):
        block.buf[0] = 1
    block.close()
    area.close()


def test_the_area_is_at_hand(name):
    block = SharedMemory(name, create=True, size=4 * MIB)
    block.buf[:MIB] = b"x" * MIB
    assert block.area.residency().resident == MIB
    assert block.area.name == name
    block.close()


def wins(name, round, start, result):
    start.wait()
    with contextlib.suppress(FileExistsError):
        block = SharedMemory(f"{name[:200]} {round}", create=True, size=4096)
        result.put((round, os.getpid()))
        start.wait()
        block.close()
        return
    start.wait()


def test_of_those_who_make_it_at_once_one_wins(name):
    context = multiprocessing.get_context("fork")
    rivals, rounds = 4, 20
    start, result = context.Barrier(rivals), context.Queue()

    def rival():
        for round in range(rounds):
            wins(name, round, start, result)

    processes = [context.Process(target=rival) for _ in range(rivals)]
    for process in processes:
        process.start()
    winners = [result.get(timeout=30)[0] for _ in range(rounds)]
    for process in processes:
        process.join(30)
        assert process.exitcode == 0
    assert result.empty()
    assert sorted(winners) == list(range(rounds))


def test_lists_that_others_have_spoilt(name):
    items = ShareableList([1, "two", b"3", 4.0, None, True], name=name)
    assert list(ShareableList(name=name)) == [1, "two", b"3", 4.0, None, True]
    for length in (-1, 1 << 62, 1000):
        struct.pack_into("q", items.shm.buf, 0, length)
        with pytest.raises(ValueError, match="holds no list"):
            ShareableList(name=name)
    items.shm.close()
    small = SharedMemory(name, create=True, size=8)
    with pytest.raises(ValueError, match="holds no list"):
        ShareableList(name=name)
    small.close()


def test_lists_whose_bytes_are_anything(name):
    # Whatever lies there: a list, or an exception. Never a crash.
    size = 200
    block = SharedMemory(name, create=True, size=size)
    rng = np.random.default_rng(5)
    for _ in range(300):
        block.buf[:] = rng.bytes(size)
        struct.pack_into("q", block.buf, 0, int(rng.integers(0, 11)))
        with contextlib.suppress(ValueError, IndexError, KeyError, struct.error, UnicodeDecodeError, OverflowError, MemoryError):
            items = ShareableList(name=name)
            list(items)
            items[0] = 1
        items = None
    block.close()


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_manager_holds_what_its_clients_make(method):
    with SharedMemoryManager(ctx=multiprocessing.get_context(method)) as manager:
        block = manager.SharedMemory(4096)
        block.buf[:3] = b"abc"
        name = block.name
        block.close()
        assert bytes(SharedMemory(name).buf[:3]) == b"abc"
        items = manager.ShareableList([1, 2])
        # Who unlinks means the same as the manager.
        items.shm.unlink()
        items.shm.close()
    with pytest.raises(FileNotFoundError):
        SharedMemory(name)


def test_a_manager_that_is_killed_leaves_what_others_hold():
    manager = SharedMemoryManager(ctx=multiprocessing.get_context("fork"))
    manager.start()
    held, gone = manager.SharedMemory(4096), manager.SharedMemory(4096)
    name = gone.name
    gone.close()
    assert SharedMemory(name).size == 4096
    os.kill(manager._process.pid, signal.SIGKILL)
    manager._process.join()
    with pytest.raises(FileNotFoundError):
        SharedMemory(name)
    assert SharedMemory(held.name).size == 4096
    held.close()
    with contextlib.suppress(OSError, EOFError):
        manager.shutdown()


INSTALL = """if 1:
    from multiprocessing import shared_memory as theirs
    import areas.shared_memory
    areas.shared_memory.install()
    from multiprocessing import managers, shared_memory
    from multiprocessing.managers import SharedMemoryManager
    from multiprocessing.shared_memory import ShareableList, SharedMemory
    assert shared_memory is areas.shared_memory and theirs is not shared_memory
    assert SharedMemoryManager is areas.SharedMemoryManager
    block = SharedMemory(create=True, size=10)
    assert isinstance(block, areas.SharedMemory) and block.area.nbytes == 10
    assert ShareableList([1]).shm.area
    with SharedMemoryManager() as manager:
        assert manager.SharedMemory(10).area
    print("done")
"""


def test_install():
    ran = python(INSTALL)
    assert (ran.returncode, ran.stdout) == (0, "done\n")
    assert managers.SharedMemoryManager is not SharedMemoryManager, "in that process only"


def test_nothing_is_started_and_nothing_is_warned_of(name):
    code = """if 1:
        import os, sys
        from areas.shared_memory import SharedMemory
        block = SharedMemory(sys.argv[1], create=True, size=10)
        other = SharedMemory(sys.argv[1], track=True)
        print(open(f"/proc/self/task/{os.getpid()}/children").read(), end="")
    """
    ran = python(code, name)
    assert (ran.returncode, ran.stdout) == (0, "")


def test_a_child_that_inherits_a_block_holds_it(name):
    block = SharedMemory(name, create=True, size=4096)
    block.buf[0] = 5
    ready, done = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.write(ready[1], b"x")
        os.read(done[0], 1)
        os._exit(block.buf[0])
    os.read(ready[0], 1)
    block.buf[0] = 6
    block.close()
    os.write(done[1], b"x")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 6
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            SharedMemory(name)
        except FileNotFoundError:
            break
    else:
        raise AssertionError("the name outlives its last holder")
    for end in (*ready, *done):
        os.close(end)
