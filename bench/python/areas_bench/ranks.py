"""What two MPI processes do: `mpiexec -n 2 python -m areas_bench.ranks BYTES ROUNDS`. The first one
prints the times as JSON.

Both sides give the second process an array of so many bytes, whose last byte it reads and sends
back: as a shared window, which all processes make and free together, or as an area, whose handle
goes by the same communicator.
"""

from __future__ import annotations

import json
import sys
import time

import areas
import numpy as np
from mpi4py import MPI


def window(comm, size: int) -> int:
    """The last byte as the second process reads it; in the first one, what it was sent."""
    first = comm.rank == 0
    shared = MPI.Win.Allocate_shared(size if first else 0, 1, MPI.INFO_NULL, comm)
    buffer, _ = shared.Shared_query(0)
    array = np.ndarray((size,), "u1", buffer)
    if first:
        array[-1] = 7
    shared.Fence()
    last = comm.recv(source=1) if first else int(array[-1])
    if not first:
        comm.send(last, 0)
    del array, buffer
    shared.Free()
    return last


def area(comm, size: int) -> int:
    """The same by a handle."""
    if comm.rank == 0:
        with areas.create("areas-bench-ranks", shape=(size,), dtype="u1") as made:
            made.array[-1] = 7
            comm.send(made.array, 1)
            return comm.recv(source=1)
    array = comm.recv(source=0)
    last = int(array[-1])
    del array
    comm.send(last, 0)
    return last


def main() -> None:
    """Both sides in turn."""
    size, rounds = map(int, sys.argv[1:])
    comm = MPI.COMM_WORLD
    times: dict[str, list[float]] = {"areas": [], "window": []}
    for round in range(rounds + 1):
        for work, name in ((area, "areas"), (window, "window")) if round % 2 else ((window, "window"), (area, "areas")):
            comm.Barrier()
            start = time.perf_counter()
            last = work(comm, size)
            took = time.perf_counter() - start
            if last != 7:
                raise RuntimeError(f"{name}: the other process read {last}, not 7")
            # The first round is to warm up.
            if round:
                times[name].append(took)
    if comm.rank == 0:
        # "MPICH Version:      5.0.2", "Open MPI v5.0.11, package: …"
        version = " ".join(MPI.Get_library_version().split("\n")[0].split(",")[0].replace("Version:", "").split())
        print(json.dumps(times | {"mpi": version}))


if __name__ == "__main__":
    main()
