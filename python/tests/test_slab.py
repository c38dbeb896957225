"""Slabs: blocks of one area, from process to process, and free again however their holders end."""

from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
import resource
import signal
import subprocess
import sys
import textwrap
import time

import areas
import numpy as np
import pytest



METHODS = multiprocessing.get_all_start_methods()


def mapped(inode: int) -> int:
    """How many mappings this process has of a memory object."""
    with open("/proc/self/maps") as maps:
        return sum(line.split()[4] == str(inode) for line in maps)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def settled(slab: areas.Slab, blocks: int, seconds: float = 10.0) -> int:
    """The blocks that are left, once there are so few, or in so many seconds."""
    deadline = time.monotonic() + seconds
    while slab.collect() > blocks and time.monotonic() < deadline:
        time.sleep(0.01)
    return slab.blocks


def test_arrays_are_what_was_put():
    slab = areas.Slab("slab: put", 1 << 20)
    given = [np.arange(10), np.ones((3, 4), "f4"), np.array(5), np.zeros((0, 3)), np.array([(1, 2.0)], [("a", "i2"), ("b", "f8")])]
    put = [slab.put(one) for one in given]
    for one, there in zip(given, put, strict=True):
        assert (there.dtype, there.shape) == (one.dtype, one.shape)
        assert there.tolist() == one.tolist()
        assert there.flags.writeable and there.ctypes.data % 64 == 0
    assert slab.blocks == len(given)


def test_blocks_are_free_again_when_the_last_array_is_gone():
    slab = areas.Slab(None, 1 << 20)
    one = slab.put(np.arange(1000))
    part = one[::2]
    del one
    gc.collect()
    assert slab.collect() == 1
    assert part[10] == 20
    view = memoryview(part)
    del part
    assert slab.collect() == 1
    del view
    assert slab.collect() == 0
    assert slab.used == 0


def test_what_does_not_fit_is_said():
    slab = areas.Slab("slab: full", 4096)
    held = slab.put(np.zeros(1000, "u1"))
    with pytest.raises(areas.NoMemory, match=r"cannot put 8000 bytes into the slab 'slab: full'") as raised:
        slab.put(np.zeros(1000))
    assert "make the slab larger" in raised.value.remedy
    del held
    assert slab.put(np.zeros(3000, "u1")).nbytes == 3000
    for size in (0, 100, 1 << 60):
        with pytest.raises(areas.InvalidInput, match="cannot make a slab"):
            areas.Slab(None, size)
    with pytest.raises(areas.InvalidInput):
        slab.put(np.array([None]))


def test_a_closed_slab_hands_out_nothing_and_its_arrays_stay():
    slab = areas.Slab("slab: closed", 1 << 16)
    one = slab.put(np.arange(10))
    slab.close()
    slab.close()
    with pytest.raises(areas.Closed):
        slab.put(np.arange(10))
    del slab
    gc.collect()
    assert one.sum() == 45


def test_a_handle_opened_here_is_the_same_block():
    slab = areas.Slab(None, 1 << 16)
    one = slab.put(np.arange(12).reshape(3, 4))
    text = pickle.dumps(one[1:, ::2])
    again = pickle.loads(text)
    again[0, 0] = 100
    assert one[1, 0] == 100
    assert len(text) < 600
    del one
    assert again.tolist() == [[100, 6], [8, 10]]
    assert slab.collect() == 1
    del again
    assert slab.collect() == 0
    with pytest.raises(areas.HolderGone, match="was freed"):
        pickle.loads(text)


def test_on_the_way_the_sender_keeps_it():
    slab = areas.Slab(None, 1 << 16)
    text = pickle.dumps(slab.put(np.arange(5)))
    gc.collect()
    assert slab.collect() == 1
    assert pickle.loads(text).tolist() == [0, 1, 2, 3, 4]
    gc.collect()
    assert slab.collect() == 0


def answer(pipe):
    """A process that holds what it is sent, adds 1 to it, and drops it when it is asked to."""
    held = []
    while True:
        given = pipe.recv()
        if given is None:
            return
        if isinstance(given, str):
            held.clear()
        else:
            given += 1
            held.append(given)
        del given
        pipe.send(os.getpid())


@pytest.fixture(params=METHODS)
def other(request):
    context = multiprocessing.get_context(request.param)
    pipe, theirs = context.Pipe()
    process = context.Process(target=answer, args=(theirs,))
    process.start()
    theirs.close()
    yield pipe, process
    if process.is_alive():
        pipe.send(None)
    process.join(20)
    assert process.exitcode is not None


def ask(pipe, what):
    pipe.send(what)
    return pipe.recv()


def test_another_process_writes_the_same_bytes_and_gives_the_block_back(other):
    pipe, _ = other
    slab = areas.Slab(None, 1 << 20)
    one = slab.put(np.arange(1000))
    ask(pipe, one)
    assert one[0] == 1
    del one
    # Only the other one has it.
    assert slab.collect() == 1
    ask(pipe, "drop")
    assert settled(slab, 0) == 0


def test_a_killed_process_holds_nothing(other):
    pipe, process = other
    slab = areas.Slab(None, 1 << 20)
    for _ in range(20):
        ask(pipe, slab.put(np.arange(100)))
    assert slab.collect() == 20
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert settled(slab, 0) == 0


def test_a_block_that_others_hold_is_not_given_out():
    context = multiprocessing.get_context("spawn")
    pipe, theirs = context.Pipe()
    process = context.Process(target=answer, args=(theirs,))
    process.start()
    slab = areas.Slab(None, 1 << 16)
    for round in range(50):
        ask(pipe, slab.put(np.full(5000, round)) if round == 0 else slab.put(np.full(100, round)))
        if round % 10 == 9:
            ask(pipe, "drop")
    for _ in range(3):
        with pytest.raises(areas.NoMemory):
            kept = [slab.put(np.full(500, 7)) for _ in range(1000)]
    kept = None
    assert kept is None
    pipe.send(None)
    process.join()
    assert settled(slab, 0) == 0


def test_waiting_for_room(other):
    pipe, _ = other
    slab = areas.Slab(None, 1 << 16)
    ask(pipe, slab.put(np.zeros(50_000, "u1")))
    begun = time.monotonic()
    with pytest.raises(areas.NoMemory):
        slab.put(np.zeros(50_000, "u1"), timeout=0.1)
    assert 0.1 <= time.monotonic() - begun < 5
    pipe.send("drop")
    assert slab.put(np.zeros(50_000, "u1"), timeout=30).nbytes == 50_000
    pipe.recv()


def test_ten_thousand_arrays_with_256_descriptors(tmp_path):
    program = textwrap.dedent("""
        import multiprocessing, os, resource, sys
        import areas, numpy as np

        def total(pipe):
            resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
            held = pipe.recv()
            pipe.send((sum(int(one[0]) for one in held), len(os.listdir("/proc/self/fd"))))
            pipe.recv()
            held.clear()
            pipe.send(None)

        if __name__ == "__main__":
            resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
            slab = areas.Slab("slab: ten thousand", 16 << 20)
            held = [slab.put(np.full(100, n)) for n in range(10_000)]
            assert len(os.listdir("/proc/self/fd")) < 64
            pipe, theirs = multiprocessing.get_context("spawn").Pipe()
            process = multiprocessing.get_context("spawn").Process(target=total, args=(theirs,))
            process.start()
            for at in range(0, 10_000, 5_000):
                pass
            pipe.send(held[:8000])
            got, opened = pipe.recv()
            assert got == sum(range(8000)), got
            assert opened < 64, opened
            held.clear()
            assert slab.collect() == 8000, slab.blocks
            pipe.send(None); pipe.recv()
            assert slab.collect() == 0
            process.join()
            print("well")
    """)
    path = tmp_path / "ten_thousand.py"
    path.write_text(program)
    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, timeout=120)
    assert done.stdout == "well\n", done.stderr


def test_many_rounds_take_no_more_mappings_or_descriptors(other):
    pipe, _ = other
    slab = areas.Slab(None, 1 << 20)
    ask(pipe, slab.put(np.arange(100)))
    before = descriptors(), mapped(slab._blocks.inode)
    for _ in range(300):
        ask(pipe, slab.put(np.arange(100)))
        ask(pipe, "drop")
    assert (descriptors(), mapped(slab._blocks.inode)) == before
    assert settled(slab, 0) == 0
    assert slab.used == 0


def forward(source, sink):
    """Between two: what comes by one pipe goes on by the other, and is not kept."""
    sink.send(source.recv())
    source.recv()


@pytest.mark.parametrize("method", METHODS)
def test_a_block_goes_on_to_a_third_process(method):
    # From now on multiprocessing passes areas without a name by descriptor: a slab that is only
    # mapped here is none of them.
    areas.create(shape=1).close()
    context = multiprocessing.get_context(method)
    first, between = context.Pipe()
    sink, last = context.Pipe()
    processes = [context.Process(target=forward, args=(between, sink)), context.Process(target=answer, args=(last,))]
    for process in processes:
        process.start()
    slab = areas.Slab(None, 1 << 16)
    one = slab.put(np.arange(10))
    first.send(one)
    assert sink.recv() == processes[1].pid
    assert one[0] == 1
    del one
    first.send(None)
    processes[0].join()
    # The one in the middle has gone, the last one has it.
    assert slab.collect() == 1
    sink.send(None)
    processes[1].join()
    assert settled(slab, 0) == 0


def keep_and_hand_on(source, sink):
    """Takes an array, and hands it on when its owner has dropped it."""
    held = source.recv()
    source.send("held")
    assert source.recv() == "on"
    sink.send(held)
    # Until the other one has it, the sender keeps it, whatever becomes of this name.
    del held
    gc.collect()
    source.recv()


@pytest.mark.parametrize("method", METHODS)
def test_a_block_that_its_owner_has_dropped_goes_on(method):
    context = multiprocessing.get_context(method)
    first, between = context.Pipe()
    sink, last = context.Pipe()
    middle = context.Process(target=keep_and_hand_on, args=(between, sink))
    end = context.Process(target=answer, args=(last,))
    middle.start()
    end.start()
    slab = areas.Slab(None, 1 << 16)
    first.send(slab.put(np.arange(10)))
    assert first.recv() == "held"
    assert slab.collect() == 1
    first.send("on")
    assert sink.recv() == end.pid
    assert slab.collect() == 1
    first.send(None)
    middle.join()
    assert middle.exitcode == 0
    # Only the last one has it, which came by it when only the middle one held it.
    assert slab.collect() == 1
    sink.send(None)
    end.join()
    assert settled(slab, 0) == 0


def send_and_end(source, how):
    """Sends an array on that no process will take, and ends: by itself, or killed."""
    source.send(pickle.dumps(source.recv()))
    source.recv()
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("how", ["ends", "killed"])
def test_what_is_never_received_comes_back_when_its_sender_ends(how):
    context = multiprocessing.get_context("spawn")
    pipe, theirs = context.Pipe()
    process = context.Process(target=send_and_end, args=(theirs, how))
    process.start()
    slab = areas.Slab(None, 1 << 16)
    pipe.send(slab.put(np.arange(10)))
    text = pipe.recv()
    gc.collect()
    # The owner has dropped it, and no process has opened what the other process has sent.
    assert slab.collect() == 1
    pipe.send(None)
    process.join()
    assert settled(slab, 0) == 0
    with pytest.raises(areas.HolderGone):
        pickle.loads(text)


def test_slots_and_readers_are_as_many_as_was_said():
    slab = areas.Slab(None, 1 << 16, slots=3, readers=1)
    held = [slab.put(np.arange(n)) for n in range(3)]
    with pytest.raises(areas.NoMemory, match="all of its 3 slots are taken") as raised:
        slab.put(np.arange(3))
    assert "more `slots`" in raised.value.remedy
    del held
    for asked in ({"slots": 0}, {"readers": 0}, {"readers": 1025}, {"slots": (1 << 24) + 1}):
        with pytest.raises(areas.InvalidInput, match="1 to 16777216 and 1 to 1024"):
            areas.Slab(None, 1 << 16, **asked)
    # A second reader has no place: it gets an error, and the block is its owner's again.
    text = [pickle.dumps(slab.put(np.arange(4))) for _ in range(2)]
    program = "import pickle, sys; a = pickle.load(sys.stdin.buffer); print(a.sum(), flush=True); sys.stdin.read()"
    first, second = (
        subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)
    )
    first.stdin.write(text[0])
    first.stdin.flush()
    assert first.stdout.readline() == b"6\n"
    _, error = second.communicate(text[1])
    assert second.returncode == 1 and b"Limit: " in error and b"1 processes read it" in error and b"readers=" in error, error
    first.communicate()
    assert pickle.loads(text[1]).sum() == 6
    assert settled(slab, 0) == 0


def test_a_fork_without_a_place_for_the_child_is_warned_of():
    slab = areas.Slab(None, 1 << 16, readers=1)
    kept, children = slab.put(np.arange(10)), []
    with pytest.warns(RuntimeWarning, match="has no part of its own in an areas.Slab"):
        for _ in range(2):
            reader, writer = os.pipe()
            child = os.fork()
            if child == 0:
                os.read(reader, 1)
                os._exit(0 if kept.sum() == 45 else 1)
            os.close(reader)
            children.append((child, writer))
    del kept
    # For the second one there is no place: so no process writes over what it has.
    noise = [slab.put(np.full(100, 9)) for _ in range(20)]
    for child, writer in children:
        os.write(writer, b".")
        os.close(writer)
        assert os.waitpid(child, 0)[1] == 0
    del noise
    assert settled(slab, 1) == 1


def test_a_forked_child_has_its_parents_arrays():
    slab = areas.Slab(None, 1 << 16)
    one = slab.put(np.arange(10))
    reader, writer = os.pipe()
    again, reported = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.read(reader, 1)
            ok = one.tolist() == list(range(10))
            os.write(reported, b"x" if ok else b"!")
            os.read(reader, 1)
            del one
            gc.collect()
            os.write(reported, b"y")
            os.read(reader, 1)
            with pytest.raises(areas.InvalidInput, match="made it"):
                slab.put(np.arange(3))
            status = 0
        finally:
            os._exit(status)
    del one
    gc.collect()
    assert slab.collect() == 1
    other = [slab.put(np.full(100, 9)) for _ in range(10)]
    os.write(writer, b".")
    assert os.read(again, 1) == b"x"
    os.write(writer, b".")
    assert os.read(again, 1) == b"y"
    del other
    assert settled(slab, 0) == 0
    os.write(writer, b".")
    assert os.waitpid(child, 0)[1] == 0


def test_a_forked_child_of_a_receiver_has_its_arrays():
    """The child holds them, though the parent drops them: and the parent's drop is not the
    child's."""
    slab = areas.Slab(None, 1 << 16)
    program = textwrap.dedent("""
        import os, sys, pickle
        one = pickle.load(sys.stdin.buffer)
        if os.fork() == 0:
            sys.stdin.buffer.read()
            os._exit(0 if one.sum() == 45 else 1)
        del one
        print("dropped", flush=True)
        os._exit(os.waitstatus_to_exitcode(os.wait()[1]))
    """)
    process = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    pickle.dump(slab.put(np.arange(10)), process.stdin)
    process.stdin.flush()
    assert process.stdout.readline() == b"dropped\n"
    assert slab.collect() == 1
    noise = [slab.put(np.full(100, 9)) for _ in range(20)]
    process.stdin.close()
    assert process.wait() == 0
    del noise
    assert settled(slab, 0) == 0


def test_hostile_handles_are_errors():
    from areas import _slab

    slab = areas.Slab(None, 1 << 16)
    one = slab.put(np.arange(10))
    handle = _slab.describe(_slab_memory(one))
    # Each bit of where the block is another one: never another memory, nor more of it. (The area's
    # id counts where it is not mapped here.)
    for bit in range(8 * len(handle[2])):
        bad = bytearray(handle[2])
        bad[bit // 8] ^= 1 << bit % 8
        if bit // 8 in range(4, 8):
            assert np.frombuffer(_slab.open_block((*handle[:2], bytes(bad), *handle[3:])), "i8").sum() == 45
            continue
        with pytest.raises((areas.HolderGone, areas.InvalidInput, areas.Unreadable)):
            _slab.open_block((*handle[:2], bytes(bad), *handle[3:]))
    # Who is said to have sent it is cleared nothing but what is its own.
    for at, value in [(3, 1), (3, 1 << 40), (4, -1), (4, 1 << 40), (5, 99), (6, -1), (6, 1 << 40), (7, 99), (7, -1)]:
        assert np.frombuffer(_slab.open_block((*handle[:at], value, *handle[at + 1 :])), "i8").sum() == 45
    for bad in ((), (1,) * 8, ("x",) * 8, handle[:-1], (*handle[:2], b"", *handle[3:]), (*handle[:2], handle[2] * 2, *handle[3:])):
        with pytest.raises(areas.InvalidInput):
            _slab.open_block(bad)
    with pytest.raises(areas.OtherMachine):
        _slab.open_block((b"other!", *handle[1:]))
    with pytest.raises(areas.OtherPidNamespace):
        _slab.open_block((handle[0], handle[1] ^ 1, *handle[2:]))
    with pytest.raises(areas.InvalidInput, match="dtype"):
        _slab._open(_slab.describe(_slab_memory(one)), np.dtype(object), (2,), 0, None, True)
    with pytest.raises(areas.InvalidInput):
        _slab._open(_slab.describe(_slab_memory(one)), np.dtype("i8"), (11,), 0, None, True)
    with pytest.raises(areas.InvalidInput):
        _slab._open(_slab.describe(_slab_memory(one)), np.dtype("i8"), (2,), 0, (1 << 40,), True)
    assert one.sum() == 45


def _slab_memory(array):
    from areas._array import memory_of

    return memory_of(array)


def test_what_is_sent_and_never_opened_has_a_limit():
    slab = areas.Slab(None, 1 << 16)
    one = slab.put(np.arange(2))
    texts = []
    with pytest.raises(areas.Limit, match="on their way"):
        while True:
            texts.append(pickle.dumps(one))
    assert len(texts) > 5000
    for text in texts:
        pickle.loads(text)
    assert pickle.loads(pickle.dumps(one)).sum() == 1


def test_limits_of_the_process_are_as_they_were():
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 256
