"""Model weights that are loaded once a machine: the first process loads and freezes them, all
others find them.

Whoever comes, whenever: `weights()` gives a read-only array over the same pages. They go when the
last process that uses them does.
"""

import subprocess
import sys
import time

import areas
import numpy as np

NAME = "example-weights"


def load():
    """Stands for a file that takes long to read."""
    time.sleep(0.3)
    return np.random.default_rng(1).standard_normal((1024, 1024), dtype="f4")


def weights():
    while True:
        try:
            return areas.find(NAME)
        except FileNotFoundError:
            pass
        try:
            return areas.put(load(), name=NAME, freeze=True, exclusive=True)
        except FileExistsError:
            # Another process was as quick: take what it has.
            continue


def main():
    area = weights()
    array = area.array
    assert not array.flags.writeable, "frozen: no process writes any more, root included"
    if "worker" in sys.argv:
        print(f"{array.sum(dtype='f8'):.6f}")
        return
    start = time.monotonic()
    workers = [
        subprocess.Popen([sys.executable, __file__, "worker"], stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    sums = {worker.communicate()[0].strip() for worker in workers}
    assert sums == {f"{array.sum(dtype='f8'):.6f}"}, sums
    print(f"3 workers had {array.nbytes >> 20} MiB of weights in {time.monotonic() - start:.2f} s, with none of them loaded again")


if __name__ == "__main__":
    main()
