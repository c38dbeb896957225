"""The first fill of a large array: its pages come into memory then."""

from __future__ import annotations

import time
from collections.abc import Iterator
from multiprocessing.shared_memory import SharedMemory

import areas
import numpy as np

from ..measure import Side, pair
from ..outcome import Compared, Outcome


def run(context) -> Iterator[Outcome]:
    """Made, filled; freed outside of what is timed."""
    size = context.large

    def ours(**how):
        def work() -> float:
            start = time.perf_counter()
            area = areas.create("areas-bench-fill", shape=(size,), dtype="u1", **how)
            area.array.fill(1)
            took = time.perf_counter() - start
            area.close()
            return took

        return Side("areas", work)

    def standard() -> float:
        start = time.perf_counter()
        segment = SharedMemory(create=True, size=size)
        array = np.ndarray((size,), "u1", buffer=segment.buf)
        array.fill(1)
        took = time.perf_counter() - start
        del array
        segment.close()
        segment.unlink()
        return took

    peer = Side("SharedMemory", standard)
    case = f"{context.large_name}, filled by one thread"
    populated = pair(ours(populate=True), peer, context.long)
    yield Compared(case, "create(populate=True)", "SharedMemory", populated, 0.9)
    yield Compared(case, "create()", "SharedMemory", pair(ours(), peer, context.long))
