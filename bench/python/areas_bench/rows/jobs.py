"""joblib over one large array: its own way writes a plain array to a file in /dev/shm, again for
each call."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator

import areas
import numpy as np

from ..measure import Side, pair
from ..outcome import Compared, Outcome, Skipped


def last(array: np.ndarray) -> int:
    """The work of a task: none worth naming."""
    return int(array[-1])


def _serve(pipe, size: int) -> None:
    """joblib's own way, in a process of its own: joblib has one set of workers a process, and
    starts it again for another backend."""
    import joblib

    plain = np.full(size, 7, "u1")
    pipe.send(None)
    try:
        while True:
            pipe.send(_call(joblib, plain, "loky", pipe.recv()))
    except EOFError:
        # Its threads would outlive this function.
        joblib.externals.loky.get_reusable_executor().shutdown(wait=True, kill_workers=True)


def _call(joblib, array: np.ndarray, backend: str, name: str) -> float:
    """As people call it: a new Parallel each time, the workers stay. The seconds it took."""
    start = time.perf_counter()
    read = joblib.Parallel(n_jobs=2, backend=backend)(joblib.delayed(last)(array) for _ in range(2))
    took = time.perf_counter() - start
    if read != [7, 7]:
        raise RuntimeError(f"{name}: the workers read {read}, not [7, 7]")
    return took


def run(context) -> Iterator[Outcome]:
    """Workers are there before the clock runs."""
    try:
        import joblib
    except ImportError as error:
        yield Skipped("two tasks", str(error))
        return
    import areas.joblib

    size = context.large
    spawn = multiprocessing.get_context("spawn")
    pipe, theirs = spawn.Pipe()
    server = spawn.Process(target=_serve, args=(theirs, size))
    server.start()
    theirs.close()
    pipe.recv()

    def peer() -> float:
        pipe.send("joblib's memmaps")
        return pipe.recv()

    areas.joblib.register(make_default=False)
    try:
        with areas.create("areas-bench-joblib", shape=(size,), dtype="u1", populate=True) as area:
            area.array[:] = 7
            yield _compared(context, joblib, "area.array", area.array, peer, 0.02)
        plain = np.full(size, 7, "u1")
        yield _compared(context, joblib, "areas.joblib, a plain array", plain, peer, None)
    finally:
        pipe.close()
        server.join()


def _compared(context, joblib, name: str, array: np.ndarray, peer, target: float | None) -> Compared:
    ours = Side("areas", lambda: _call(joblib, array, "areas", name))
    result = pair(ours, Side("joblib's memmaps", peer), context.long)
    return Compared(context.large_name, name, "joblib's memmaps", result, target)
