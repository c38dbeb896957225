"""A pool of workers over one big array: nothing is copied, and nothing is left when all of them are
killed.

python worker_pool.py [MEGABYTES]
"""

import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import areas
import numpy as np


def brighten(frames, first, last):
    # `frames` is the very memory that the parent has: a handle of some bytes came through the pipe.
    part = frames[first:last]
    np.minimum(part, 200, out=part)
    part += 55
    return int(part.max())


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 64
    area = areas.create(shape=(count, 1024, 1024), dtype="u1")
    frames = area.array
    frames[:] = np.arange(256, dtype="u1")[np.newaxis, :].repeat(4, axis=0).ravel()

    step = max(1, count // 8)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as workers:
        jobs = [workers.submit(brighten, frames, first, first + step) for first in range(0, count, step)]
        brightest = max(job.result() for job in jobs)
    assert brightest == 255 == frames.max()
    assert frames.min() == 55, "the workers wrote into our array"
    print(f"{frames.nbytes >> 20} MiB changed in place by 2 workers; the brightest is {brightest}")


if __name__ == "__main__":
    main()
