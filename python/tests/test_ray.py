"""Ray passes an array in an area as its handle within a node, and by its bytes where that is asked
for."""

from __future__ import annotations

import os
import shutil

import areas
import numpy as np
import pytest

ray = pytest.importorskip("ray")


@pytest.fixture
def node():
    # Sockets below it must have short paths.
    folder = f"/tmp/areas-ray-{os.getpid()}"
    try:
        ray.init(
            num_cpus=1, include_dashboard=False, _temp_dir=folder, object_store_memory=100 << 20, logging_level="error",
            runtime_env={"env_vars": {"PYTHONPATH": os.pathsep.join(p for p in os.sys.path if p)}},
        )  # fmt: skip
    except Exception as error:
        pytest.skip(f"Ray does not start here: {error}")
    yield
    ray.shutdown()
    shutil.rmtree(folder, ignore_errors=True)


def about(array):
    from areas._array import memory_of

    memory = memory_of(array)
    return memory is not None, memory and memory.inode, int(array.sum())


def test_an_array_in_an_area_goes_as_a_handle_and_by_value_as_bytes(node, name):
    from areas._array import memory_of

    task = ray.remote(about)
    with areas.put(np.arange(100_000, dtype="i8"), name=name) as area:
        reference = ray.put(area.array)
        assert ray.get(task.remote(reference), timeout=90) == (True, memory_of(area.array).inode, 4_999_950_000)
        # A worker that has it still holds the memory: its name is gone with its last holder.
        with areas.by_value():
            reference = ray.put(area.array)
        assert ray.get(task.remote(reference), timeout=90) == (False, None, 4_999_950_000)
