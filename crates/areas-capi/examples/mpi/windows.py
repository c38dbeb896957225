"""Windows of MPI over areas, with mpi4py: mpirun -np 3 python windows.py NAME

As windows.c: each rank's window is an area's memory, so a process that knows nothing of MPI finds
it by its name. With `--hold FILE` the ranks wait, after all is done, until that file is there.
"""

import os
import sys
import time

import areas
import mpi4py
import numpy as np

# One-sided communication over TCP (osc pt2pt of Open MPI 4) is not for several threads that call
# it.
mpi4py.rc.thread_level = "funneled"

from mpi4py import MPI  # noqa: E402

COUNT = 1 << 18
PUT, SUM, COUNTER, MANY, TIMES = 0, 1000, 2000, 512, 100


def fenced(window, mine, rank, ranks):
    following, before = (rank + 1) % ranks, (rank - 1) % ranks
    sent = (np.uint64(rank) << np.uint64(32)) + np.arange(MANY, dtype="u8")
    got = np.zeros(MANY, dtype="u8")
    window.Fence()
    window.Put([sent, MPI.UINT64_T], following, target=(PUT, MANY, MPI.UINT64_T))
    for target in range(ranks):
        window.Accumulate([sent, MPI.UINT64_T], target, target=(SUM, MANY, MPI.UINT64_T), op=MPI.SUM)
    window.Fence()
    counted = np.arange(MANY, dtype="u8")
    assert (mine[PUT : PUT + MANY] == (np.uint64(before) << np.uint64(32)) + counted).all()
    assert (mine[SUM : SUM + MANY] == np.uint64((ranks * (ranks - 1) // 2) << 32) + np.uint64(ranks) * counted).all()
    window.Fence()
    window.Get([got, MPI.UINT64_T], following, target=(PUT, MANY, MPI.UINT64_T))
    window.Fence()
    assert (got == sent).all()


def locked(window, mine, world):
    one, before = np.ones(1, dtype="u8"), np.zeros(1, dtype="u8")
    for _ in range(TIMES):
        window.Lock(0, MPI.LOCK_SHARED)
        window.Fetch_and_op([one, MPI.UINT64_T], [before, MPI.UINT64_T], 0, COUNTER, MPI.SUM)
        window.Unlock(0)
    world.Barrier()
    if world.rank == 0:
        window.Lock(0, MPI.LOCK_SHARED)
        assert mine[COUNTER] == world.size * TIMES
        window.Unlock(0)


def main():
    name, *hold = sys.argv[1:]
    world = MPI.COMM_WORLD
    area = areas.create(f"{name}.{world.rank}", shape=COUNT, dtype="u8", populate=True)
    mine = area.array
    window = MPI.Win.Create(mine, disp_unit=8, comm=world)
    fenced(window, mine, world.rank, world.size)
    locked(window, mine, world)
    world.Barrier()
    if world.rank == 0:
        print(f"{world.size} ranks: put, get and accumulate are right", flush=True)
    while hold and not os.path.exists(hold[1]):
        time.sleep(0.02)
    window.Free()


main()
