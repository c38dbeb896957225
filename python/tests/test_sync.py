"""Locks that live in areas: among processes, threads and forked children, with owners that are
killed."""

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import areas

PREFIX = """
import areas, sys, time
area = areas.find(sys.argv[1], write=True, keep_name=False)
"""
COUNTS = """
mutex = areas.Mutex(area, 0)
numbers = area.array.view("i8")
for _ in range(500):
    with mutex:
        value = int(numbers[1])
        if value % 50 == 0:
            time.sleep(0)
        numbers[1] = value + 1
"""
LOCKS = """
mutex = areas.Mutex(area, 0)
mutex.lock()
print("locked", flush=True)
time.sleep(60)
"""
WAITS = """
news = areas.Event(areas.find(sys.argv[1], keep_name=False), 8)
print("waits", flush=True)
seen = news.wait(0, 60)
print(seen, area.array[100], flush=True)
"""
WRITES = """
writer = areas.SeqLock(area, 0, area.nbytes - 16).writer()
print("writes", flush=True)
while True:
    for value in range(256):
        writer.write(bytes([value]) * (area.nbytes - 16))
"""


def start(code, name):
    command = [sys.executable, "-c", PREFIX + code, name]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.fixture
def area(name):
    with areas.create(name, shape=(4096,), dtype="u1") as area:
        yield area


def in_thread(function):
    """What a function gives or raises in another thread."""
    reported = []

    def run():
        try:
            reported.append(function())
        except Exception as error:
            reported.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(60)
    return reported[0]


def interrupted(wait):
    """That Ctrl-C ends a wait."""
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            wait()
    finally:
        timer.join()


def test_one_at_a_time_in_four_processes(area, name):
    workers = [start(COUNTS, name) for _ in range(4)]
    assert [worker.wait(60) for worker in workers] == [0] * 4
    assert area.array.view("i8")[1] == 2000
    for worker in workers:
        worker.stdout.close()


def test_a_killed_owner_is_reported_and_repaired(area, name):
    mutex = areas.Mutex(area, 0)
    with start(LOCKS, name) as owner:
        assert owner.stdout.readline() == "locked\n"
        assert mutex.owner == "living"
        with pytest.raises(areas.TimedOut, match="its owner is alive, and did not unlock it within 200ms"):
            mutex.lock(0.2)
        owner.kill()
        owner.wait(30)
    for _ in range(2):
        with pytest.raises(areas.OwnerDied) as raised:
            mutex.lock(30)
        assert "repair" in raised.value.remedy
    calls = []
    repairing = areas.Mutex(area, 0, repair=lambda: calls.append(mutex.owner))
    with repairing:
        assert calls == ["this thread"]
    with repairing, pytest.raises(areas.Busy):
        mutex.lock()
    assert calls == ["this thread"] and mutex.owner == "unlocked"


def test_a_repair_that_fails_leaves_it_to_the_next(area, name):
    with start(LOCKS, name) as owner:
        owner.stdout.readline()
        owner.kill()

    def fails():
        raise RuntimeError("cannot repair")

    with pytest.raises(RuntimeError, match="cannot repair"):
        areas.Mutex(area, 0, repair=fails).lock(30)
    with pytest.raises(areas.OwnerDied):
        areas.Mutex(area, 0).lock()
    with areas.Mutex(area, 0, repair=lambda: None):
        pass
    areas.Mutex(area, 0).lock()
    areas.Mutex(area, 0).unlock()


def test_threads_of_one_process(area):
    mutex = areas.Mutex(area, 8)
    with mutex:
        assert mutex.owner == "this thread" and in_thread(lambda: mutex.owner) == "living"
        assert isinstance(in_thread(lambda: mutex.lock(0)), areas.TimedOut)
        assert isinstance(in_thread(mutex.unlock), areas.NotPermitted)
        # Who waits releases the interpreter: this goes on, and lets it have the mutex.
        waiter = threading.Thread(target=lambda: (mutex.lock(30), mutex.unlock()))
        waiter.start()
        time.sleep(0.05)
    waiter.join(30)
    assert not waiter.is_alive()
    with pytest.raises(areas.NotPermitted):
        mutex.unlock()
    # A thread that ends with it is dead, as its process would be.
    in_thread(mutex.lock)
    with pytest.raises(areas.OwnerDied):
        mutex.lock(30)


def test_ctrl_c_ends_waits(area, name):
    mutex, event = areas.Mutex(area, 0), areas.Event(area, 8)
    with start(LOCKS, name) as owner:
        owner.stdout.readline()
        interrupted(mutex.lock)
        interrupted(lambda: event.wait(0))
        owner.kill()


def test_a_forked_child_does_not_own_it(area):
    mutex = areas.Mutex(area, 0)
    with mutex:
        child = os.fork()
        if child == 0:
            try:
                mutex.unlock()
            except areas.NotPermitted:
                os._exit(0 if mutex.owner == "living" else 2)
            finally:
                os._exit(1)
        assert os.waitpid(child, 0)[1] == 0
        assert mutex.owner == "this thread"


def test_an_event_wakes_a_process_that_may_only_read(area, name):
    event = areas.Event(area, 8)
    with start(WAITS, name) as waiter:
        assert waiter.stdout.readline() == "waits\n"
        area.array[100] = 77
        event.signal()
        assert waiter.stdout.readline() == "1 77\n"
        assert waiter.wait(30) == 0
    assert event.count == 1 and event.wait(0) == 1
    with pytest.raises(areas.TimedOut, match="it was not signalled at count 1 within 0ns"):
        event.wait(1, 0)
    with areas.find(name, keep_name=False) as reading:
        with pytest.raises(areas.ReadOnly):
            areas.Event(reading, 8).signal()
    with pytest.raises(OverflowError):
        event.wait(1 << 32)


def test_an_event_of_a_frozen_area_ends(area, name):
    other = areas.find(name, keep_name=False)
    event = areas.Event(other, 0)
    threading.Timer(0.2, area.freeze).start()
    with pytest.raises(areas.Frozen):
        event.wait(0, 60)
    with pytest.raises(areas.Frozen):
        areas.Event(area, 0)
    other.close()


def test_a_sequence_lock_gives_all_of_one_write(area, name):
    lock = areas.SeqLock(area, 0, 24)
    assert lock.read() == (0, bytes(24)) and lock.nbytes == 24 and not lock.has_writer
    with areas.find(name, keep_name=False) as reading:
        reader = areas.SeqLock(reading, 0, 24)
        with lock.writer() as writer:
            assert reader.has_writer and not writer.interrupted
            writer.write(np.array([[1.0, 2.0, 3.0]]))
            version, data = reader.read()
            assert version == 1 and np.frombuffer(data).tolist() == [1.0, 2.0, 3.0]
            # Any buffer, whatever its strides.
            writer.write(np.arange(6.0)[::2])
            assert np.frombuffer(reader.read()[1]).tolist() == [0.0, 2.0, 4.0]
            with pytest.raises(areas.Busy, match="it has a writer, which is alive"):
                lock.writer()
            with pytest.raises(areas.InvalidInput):
                writer.write(b"too few")
        with pytest.raises(areas.Busy):
            writer.write(bytes(24))
        with pytest.raises(areas.ReadOnly):
            reader.writer()
        assert not reader.has_writer


def test_a_writer_that_is_killed_in_the_middle(name):
    with areas.create(name, shape=(8 << 20,), dtype="u1") as area:
        lock = areas.SeqLock(area, 0, area.nbytes - 16)
        for _ in range(50):
            with start(WRITES, name) as writer:
                assert writer.stdout.readline() == "writes\n"
                time.sleep(0.05)
                writer.kill()
            try:
                data = np.frombuffer(lock.read()[1], "u1")
                assert (data == data[0]).all()
            except areas.OwnerDied:
                break
        else:
            pytest.fail("none of 50 kills came in the middle of a write of 8 MiB")
        assert not lock.has_writer
        with lock.writer() as writer:
            assert writer.interrupted
            writer.write(bytes(lock.nbytes))
            assert not writer.interrupted
        assert lock.read()[1] == bytes(lock.nbytes)


def test_it_keeps_the_memory_and_from_freezing(area):
    mutex = areas.Mutex(area, 0)
    with pytest.raises(areas.Busy):
        area.freeze(0)
    area.close()
    with mutex:
        assert mutex.owner == "this thread"


def test_what_is_locked_stays_so_without_its_object(area):
    areas.Mutex(area, 0).lock()
    assert areas.Mutex(area, 0).owner == "this thread"
    child = os.fork()
    if child == 0:
        os._exit(0 if areas.Mutex(area, 0).owner == "living" else 1)
    assert os.waitpid(child, 0)[1] == 0
    areas.Mutex(area, 0).unlock()
    assert areas.Mutex(area, 0).owner == "unlocked"
    area.freeze()


def test_what_is_refused(area, name):
    for kind, make in {
        areas.OutOfRange: lambda: areas.Mutex(area, 4096),
        areas.InvalidInput: lambda: areas.Mutex(area, 4),
        OverflowError: lambda: areas.Mutex(area, -8),
        TypeError: lambda: areas.Mutex(area, 8.0),
    }.items():
        with pytest.raises(kind):
            make()
    with pytest.raises(areas.OutOfRange):
        areas.Event(area, 4096)
    with pytest.raises(areas.InvalidInput):
        areas.Event(area, 2)
    with pytest.raises(areas.OutOfRange):
        areas.SeqLock(area, 4000, 100)
    with areas.find(name, keep_name=False) as reading, pytest.raises(areas.ReadOnly):
        areas.Mutex(reading, 0)
    # What others write there is not believed.
    area.array[:32] = 255
    with pytest.raises(areas.InvalidInput):
        areas.Mutex(area, 0).lock()
    with pytest.raises(areas.InvalidInput):
        areas.SeqLock(area, 8, 8).writer()
    closed = areas.create(nbytes=64)
    closed.close()
    with pytest.raises(areas.Closed):
        areas.Mutex(closed)
    with areas.put(np.arange(3), freeze=True) as frozen, pytest.raises(areas.Frozen):
        areas.SeqLock(frozen, 0, 8)
