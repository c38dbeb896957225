"""joblib over one large array: its own way writes a plain array to a file in /dev/shm, anew for each call."""

from __future__ import annotations

from collections.abc import Iterator

import areas
import numpy as np

from ..measure import Side, pair
from ..outcome import Compared, Outcome, Skipped


def last(array: np.ndarray) -> int:
    """The work of a task: none worth naming."""
    return int(array[-1])


def run(context) -> Iterator[Outcome]:
    """Workers are there before the clock runs."""
    try:
        import joblib
    except ImportError as error:
        yield Skipped("two tasks", str(error))
        return
    import areas.joblib

    size = context.large

    def side(name, array, **how) -> Side:
        def work() -> None:
            # As people call it: a new Parallel each time, the workers stay.
            task = joblib.delayed(last)
            read = joblib.Parallel(n_jobs=2, **how)(task(array) for _ in range(2))
            if read != [7, 7]:
                raise RuntimeError(f"{name}: the workers read {read}, not [7, 7]")

        return Side(name, work)

    plain = np.full(size, 7, "u1")
    areas.joblib.register(make_default=False)
    with areas.create("areas-bench-joblib", shape=(size,), dtype="u1", populate=True) as area:
        area.array[:] = 7
        case, peer = context.large_name, side("joblib's memmaps", plain)
        ours = side("areas", area.array, backend="areas")
        yield Compared(case, "area.array", peer.name, pair(ours, peer, context.long), 0.02)
        ours = side("areas", plain, backend="areas")
        yield Compared(f"{case}, a plain array", "areas.joblib", peer.name, pair(ours, peer, context.long))
