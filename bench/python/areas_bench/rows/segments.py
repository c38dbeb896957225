"""Small segments: made and closed, and opened in a process that did not make them.

The standard library reports each of them to a process of its own (the resource tracker), which
works on another CPU, if there is one, while this one goes on. So batches are long enough for its
work to be counted, and there is a comparison of the CPU time of both processes.
"""

from __future__ import annotations

import mmap
import multiprocessing
import time
from collections.abc import Iterator
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import areas
import numpy as np

from .. import floor
from ..measure import Plan, Side, pair
from ..outcome import Compared, Outcome, Skipped

PLAN = Plan(batch=0.02, budget=3.0, rounds=51, most=1 << 16)
SIZE = 64 << 10
"""Bytes: as the row `share` of the library's own benchmark."""
NAME = "areas-bench-segment"


def _plan(context) -> Plan:
    return context.short if context.smoke else PLAN


def _cpu(work, times: int) -> float:
    """CPU seconds that so many times of it take, those of the resource tracker included; a time."""
    before = time.process_time() + _tracker()
    for _ in range(times):
        work()
    # It works off what was reported to it.
    time.sleep(0.02)
    return (time.process_time() + _tracker() - before) / times


def _tracker() -> float:
    """CPU seconds of the standard library's resource tracker."""
    pid = resource_tracker._resource_tracker._pid
    if pid is None:
        return 0.0
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def _beside_floor(case: str, name: str, ours: Side, function: str, context) -> Outcome:
    """Ours beside the bare system calls."""
    try:
        theirs = floor.side(function, SIZE)
    except OSError as error:
        return Skipped(f"{case}, against the same calls in C", str(error))
    return Compared(case, name, theirs.name, pair(ours, theirs, _plan(context)))


def create(context) -> Iterator[Outcome]:
    """Under a name that others find. The standard library's is unlinked as well, or it would
    stay."""

    def ours() -> None:
        areas.create(NAME, nbytes=SIZE).close()

    def ours_array() -> None:
        with areas.create(NAME, shape=(SIZE,), dtype="u1") as area:
            area.array[-1] = 1

    def standard() -> None:
        segment = SharedMemory(NAME, create=True, size=SIZE)
        segment.close()
        segment.unlink()

    def standard_array() -> None:
        segment = SharedMemory(NAME, create=True, size=SIZE)
        array = np.ndarray((SIZE,), "u1", buffer=segment.buf)
        array[-1] = 1
        del array
        segment.close()
        segment.unlink()

    def compared(case, ours, name, theirs, target=None) -> Compared:
        result = pair(Side("areas", ours), Side(name, theirs), _plan(context))
        return Compared(case, "areas.create", name, result, target)

    yield compared("64 KiB", ours, "SharedMemory", standard, 0.35)
    times = 2 if context.smoke else 1000
    cpu = pair(
        Side("areas", lambda: _cpu(ours, times)), Side("SharedMemory", lambda: _cpu(standard, times)), context.long
    )
    yield Compared("64 KiB, CPU time, the resource tracker's too", "areas.create", "SharedMemory", cpu)
    yield compared("64 KiB, as an array, last byte written", ours_array, "SharedMemory", standard_array)
    yield _beside_floor("64 KiB", "areas.create", Side("areas", ours), "peer_share", context)
    try:
        import posix_ipc
    except ImportError as error:
        yield Skipped("64 KiB, against posix_ipc", str(error))
        return

    def posix() -> None:
        segment = posix_ipc.SharedMemory("/" + NAME, posix_ipc.O_CREX, size=SIZE)
        mapped = mmap.mmap(segment.fd, SIZE)
        segment.close_fd()
        mapped.close()
        segment.unlink()

    yield compared("64 KiB", ours, "posix_ipc and mmap", posix)


def _hold(pipe) -> None:
    """Another process: holds one segment of each kind until the pipe is closed."""
    area = areas.create(NAME, shape=(SIZE,), dtype="u1")
    segment = SharedMemory(NAME, create=True, size=SIZE)
    try:
        pipe.send(None)
        pipe.recv()
    except EOFError:
        pass
    finally:
        area.close()
        segment.close()
        segment.unlink()


def attach(context) -> Iterator[Outcome]:
    """In this process, of what another one holds."""
    spawn = multiprocessing.get_context("spawn")
    pipe, theirs = spawn.Pipe()
    holder = spawn.Process(target=_hold, args=(theirs,))
    holder.start()
    theirs.close()
    try:
        pipe.recv()
        yield from _attach(context)
    finally:
        pipe.close()
        holder.join()


def _attach(context) -> Iterator[Outcome]:
    def ours(**how) -> Side:
        return Side("areas", lambda: areas.find(NAME, **how).close())

    def ours_array() -> None:
        with areas.find(NAME, write=True) as area:
            area.array[-1]

    def standard() -> None:
        SharedMemory(NAME).close()

    def standard_array() -> None:
        segment = SharedMemory(NAME)
        array = np.ndarray((SIZE,), "u1", buffer=segment.buf)
        array[-1]
        del array
        segment.close()

    def compared(case, name, ours, peer, theirs, target=None) -> Compared:
        return Compared(case, name, peer, pair(ours, Side(peer, theirs), _plan(context)), target)

    find = "areas.find, under its name"
    yield compared("to be written", find, ours(write=True), "SharedMemory", standard, 0.8)
    yield compared("to be read (SharedMemory: written)", find, ours(), "SharedMemory", standard)
    quiet = ours(write=True, keep_name=False)
    yield compared("to be written", "areas.find(keep_name=False)", quiet, "SharedMemory", standard)
    array = Side("areas", ours_array)
    yield compared("as an array, last byte read", find, array, "SharedMemory", standard_array)
    yield _beside_floor("to be written", find, ours(write=True), "peer_clone_named", context)
    try:
        import posix_ipc
    except ImportError as error:
        yield Skipped("against posix_ipc", str(error))
        return

    def posix() -> None:
        segment = posix_ipc.SharedMemory("/" + NAME)
        mapped = mmap.mmap(segment.fd, segment.size)
        segment.close_fd()
        mapped.close()

    yield compared("to be written", find, ours(write=True), "posix_ipc and mmap", posix)
