"""A large array to a spawned worker, which reads its last byte and answers with it.

The worker is there already: a start of Python takes longer than everything measured here. It opens
what it is given each time, and closes it again.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from multiprocessing.shared_memory import SharedMemory

import areas
import numpy as np

from ..measure import Side, pair
from ..outcome import Compared, Outcome


def _serve(pipe) -> None:
    """The worker: arrays come as arrays, segments of the standard library as segments."""
    while True:
        try:
            given = pipe.recv()
        except EOFError:
            return
        if isinstance(given, SharedMemory):
            array = np.ndarray((given.size,), "u1", buffer=given.buf)
            last = int(array[-1])
            del array
            given.close()
        else:
            last = int(given[-1])
        del given
        pipe.send(last)


def run(context) -> Iterator[Outcome]:
    """Ours as a handle; SharedMemory by its name; pickled through the pipe."""
    spawn = multiprocessing.get_context("spawn")
    pipe, theirs = spawn.Pipe()
    worker = spawn.Process(target=_serve, args=(theirs,))
    worker.start()
    theirs.close()
    try:
        yield from _run(context, pipe)
    finally:
        pipe.close()
        worker.join()


def _run(context, pipe) -> Iterator[Outcome]:
    size = context.large

    def side(name, given) -> Side:
        def work() -> None:
            pipe.send(given)
            last = pipe.recv()
            if last != 7:
                raise RuntimeError(f"{name}: the worker read {last}, not 7")

        return Side(name, work)

    area = areas.create("areas-bench-large", shape=(size,), dtype="u1", populate=True)
    segment = SharedMemory(create=True, size=size)
    try:
        area.array[:] = 7
        array = np.ndarray((size,), "u1", buffer=segment.buf)
        array[:] = 7
        ours = side("areas", area.array)
        name = f"{context.large_name}, as a handle"
        peer = side("SharedMemory", segment)
        yield Compared(name, "area.array", "SharedMemory", pair(ours, peer, context.short), 1.0)
        del array
    finally:
        segment.close()
        segment.unlink()
    plain = np.full(size, 7, "u1")
    result = pair(ours, side("pickling", plain), context.long)
    area.close()
    yield Compared(name, "area.array", "pickling", result, 0.001)
