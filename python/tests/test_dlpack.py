"""DLPack: other libraries' arrays over an area's memory."""

from __future__ import annotations

import gc

import areas
import numpy as np
import pytest


def test_numpy_takes_it_where_it_lies():
    area = areas.create(shape=(3, 4), dtype="f4")
    taken = np.from_dlpack(area)
    assert (taken.shape, taken.dtype) == ((3, 4), np.dtype("f4"))
    assert taken.__array_interface__["data"][0] == area.memory.address
    taken[1, 2] = 5
    assert area.array[1, 2] == 5
    assert area.__dlpack_device__() == (1, 0)


def test_what_is_frozen_is_read_only():
    area = areas.put(np.arange(10))
    taken = np.from_dlpack(area)
    assert not taken.flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        taken[0] = 1


def test_a_capsule_keeps_the_memory():
    area = areas.create(shape=(1 << 16,), dtype="u1")
    area.array[:] = 7
    capsule = area.__dlpack__()
    address = area.memory.address
    area.close()
    del area
    gc.collect()
    # It is mapped still, and what it was.
    with open("/proc/self/maps") as maps:
        ranges = [[int(end, 16) for end in line.split()[0].split("-")] for line in maps]
    assert any(low <= address < high for low, high in ranges)

    class Given:
        def __dlpack__(self, **_):
            return capsule

        def __dlpack_device__(self):
            return 1, 0

    taken = np.from_dlpack(Given())
    del capsule
    gc.collect()
    assert (taken == 7).all()


def test_a_capsule_that_no_process_takes_lets_go():
    area = areas.create(shape=(10,), dtype="u1")
    capsule = area.__dlpack__()
    del capsule
    gc.collect()
    area.freeze(timeout=0)
    assert area.frozen


def test_a_copy_is_one():
    area = areas.create(shape=(10,), dtype="u1")
    try:
        taken = np.from_dlpack(area, copy=True)
    except TypeError:
        pytest.skip("this NumPy's from_dlpack has no copy=")
    taken[:] = 1
    assert not area.array.any()


def test_torch_takes_it():
    torch = pytest.importorskip("torch")
    area = areas.create(shape=(3, 4), dtype="f4")
    taken = torch.from_dlpack(area)
    assert taken.data_ptr() == area.memory.address
    taken[2, 3] = 1
    area.close()
    assert taken[2, 3] == 1
