"""A loader of data: four workers make batches, this process reads each of them whole, in turn.

Each worker is asked for at most two batches ahead, as a DataLoader does. A batch is made as an
array of the worker's own, and then goes its way: into a slab and as a handle, into a segment and as
its name, or pickled.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from multiprocessing.shared_memory import SharedMemory

import areas
import numpy as np

from ..measure import SMOKE, Plan, Side, pair
from ..outcome import Compared, Outcome

WORKERS = 4
AHEAD = 2
PLAN = Plan(batch=0.0, budget=0.0, rounds=3, most=1)


def _work(number: int, size: int, pipe) -> None:
    """A worker: takes (how, value), and sends a batch that is full of the value."""
    batch = np.empty(size, "u1")
    slab = None
    while True:
        try:
            how, value = pipe.recv()
        except EOFError:
            return
        batch.fill(value)
        if how == "pickle":
            pipe.send(batch)
        elif how == "slab":
            # What is in flight, what is read, and what is made.
            slab = slab or areas.Slab(f"areas-bench-{number}", (AHEAD + 2) * (size + (64 << 10)))
            pipe.send(slab.put(batch, timeout=60))
        else:
            segment = SharedMemory(create=True, size=size)
            np.ndarray((size,), "u1", buffer=segment.buf)[:] = batch
            pipe.send(segment)
            segment.close()


def _read(batch: np.ndarray) -> int:
    """All of it, and what it is full of."""
    words = batch.view("u8")
    if int(words.min()) != int(words.max()):
        raise RuntimeError("a batch is not what was sent")
    return int(batch[0])


def _take(given) -> int:
    if not isinstance(given, SharedMemory):
        return _read(given)
    array = np.ndarray((given.size,), "u1", buffer=given.buf)
    value = _read(array)
    del array
    given.close()
    given.unlink()
    return value


def run(context) -> Iterator[Outcome]:
    """All ways through the same four workers."""
    size, batches = ((1 << 16), 16) if context.smoke else ((16 << 20), 256)
    spawn = multiprocessing.get_context("spawn")
    pipes, workers = [], []
    for number in range(WORKERS):
        pipe, theirs = spawn.Pipe()
        workers.append(spawn.Process(target=_work, args=(number, size, theirs)))
        workers[-1].start()
        theirs.close()
        pipes.append(pipe)

    def side(name: str, how: str) -> Side:
        def work() -> None:
            asked = 0
            for _ in range(AHEAD * WORKERS):
                pipes[asked % WORKERS].send((how, asked % 251))
                asked += 1
            for expected in range(batches):
                pipe = pipes[expected % WORKERS]
                value = _take(pipe.recv())
                if value != expected % 251:
                    raise RuntimeError(f"{name}: batch {expected} is full of {value}")
                if asked < batches:
                    pipe.send((how, asked % 251))
                    asked += 1

        return Side(name, work)

    plan = SMOKE if context.smoke else PLAN
    case = f"{batches} batches of {size >> 10} KiB, {WORKERS} workers"
    try:
        for name, how in (("SharedMemory, one a batch", "segment"), ("pickling", "pickle")):
            result = pair(side("areas", "slab"), side(name, how), plan)
            yield Compared(case, "areas.Slab", name, result)
    finally:
        for pipe in pipes:
            pipe.close()
        for worker in workers:
            worker.join()
