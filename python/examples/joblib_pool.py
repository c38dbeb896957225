"""joblib over one big array: it goes to the workers as a handle. No file is written, and no memmap
made."""

import os

import areas
import areas.joblib
import numpy as np
from joblib import Parallel, delayed


def norm(rows, first, last):
    return float(np.linalg.norm(rows[first:last]))


def main():
    areas.joblib.register()
    area = areas.create(f"example-rows-{os.getpid()}", shape=(4096, 1024), dtype="f8")
    rows = area.array
    rows[:] = 1.0
    parts = Parallel(n_jobs=2)(delayed(norm)(rows, first, first + 1024) for first in range(0, 4096, 1024))
    assert np.isclose(np.sqrt(np.sum(np.square(parts))), np.linalg.norm(rows))
    print(f"{rows.nbytes >> 20} MiB went to 2 workers as handles")


if __name__ == "__main__":
    main()
