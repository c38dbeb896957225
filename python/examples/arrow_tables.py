"""A table for every process of the machine: Arrow's columns lie in shared memory, and are read
where they lie."""

import subprocess
import sys

import areas.arrow
import pyarrow as pa
import pyarrow.compute as pc

NAME = "example-trips"


def main():
    if "reader" in sys.argv:
        table = areas.arrow.get(NAME)
        print(table.num_rows, pc.sum(table["distance"]).as_py())
        return
    rows = 100_000
    table = pa.table({"distance": pa.array(range(rows), pa.int64()), "city": pa.array(["Bonn", "Köln"] * (rows // 2))})
    # Frozen: as long as a process holds it, it is what it is.
    held = areas.arrow.put(table, name=NAME)
    said = subprocess.run([sys.executable, __file__, "reader"], stdout=subprocess.PIPE, text=True, check=True).stdout
    assert said.split() == [str(rows), str(rows * (rows - 1) // 2)], said
    print(f"another process has read {table.nbytes >> 10} KiB of columns without a copy: {said.strip()}")
    del held


if __name__ == "__main__":
    main()
