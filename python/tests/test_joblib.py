"""joblib's workers and arrays in areas."""

from __future__ import annotations

import glob
import os

import areas
import numpy as np
import pytest

joblib = pytest.importorskip("joblib")

import areas.joblib  # noqa: E402


@pytest.fixture(autouse=True)
def registered():
    areas.joblib.register()
    yield
    areas.joblib.unregister()
    joblib.externals.loky.get_reusable_executor().shutdown(wait=True)


def about(array):
    """What a worker sees: its type, whether it may be written, its bytes' own address, and its
    sum."""
    from areas._array import memory_of

    lies_in = memory_of(array)
    return type(array).__name__, array.flags.writeable, lies_in is not None, int(array.sum())


def add_one(array, row):
    array[row] += 1
    return None


def part(array):
    return array[1:3]


def parallel(function, *arguments, **how):
    return joblib.Parallel(n_jobs=2, **how)(joblib.delayed(function)(*each) for each in arguments)


def test_an_array_in_an_area_is_the_same_memory_in_the_workers():
    with areas.create("joblib: shared", shape=(4, 1000), dtype="i8") as area:
        array = area.array
        parallel(add_one, *((array, row) for row in range(4)))
        assert (array == 1).all()


def test_views_and_plain_views_go_as_handles():
    with areas.create("joblib: views", shape=(1000, 10), dtype="i8") as area:
        area.array[...] = np.arange(10_000).reshape(1000, 10)
        for view in (area.array[::2, 1:4], np.asarray(area.array)[3:], area.array.T):
            for kind, writeable, in_area, total in parallel(about, (view,), (view,)):
                assert (kind, writeable, in_area, total) == ("AreaArray", True, True, int(view.sum()))


def test_areas_without_a_name_go_by_descriptor():
    array = areas.create(shape=(4, 1000), dtype="i8").array
    parallel(add_one, *((array, row) for row in range(4)))
    assert (array == 1).all()


def test_arrays_of_a_slab_go_as_handles():
    slab = areas.Slab(None, 1 << 20)
    array = slab.put(np.zeros((4, 1000), "i8"))
    parallel(add_one, *((array, row) for row in range(4)))
    assert (array == 1).all()


def test_cloudpickle_and_process_pools():
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    cloudpickle = pytest.importorskip("cloudpickle")
    with areas.create("joblib: pools", shape=(1000,), dtype="i8") as area:
        array = area.array
        closure = cloudpickle.dumps(lambda: array)
        assert len(closure) < 2000
        cloudpickle.loads(closure)()[3] = 5
        assert array[3] == 5
        with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
            assert list(pool.map(about, [array, array[::2]])) == [("AreaArray", True, True, 5), ("AreaArray", True, True, 0)]


def test_a_large_plain_array_is_copied_into_an_area_and_read_only():
    array = np.arange(1_000_000, dtype="i8")
    for kind, writeable, in_area, total in parallel(about, (array,), (array,)):
        assert (kind, writeable, in_area, total) == ("AreaArray", False, True, int(array.sum()))


def test_copies_go_with_the_call():
    array = np.ones(1_000_000)
    parallel(about, (array,), (array,))
    assert not areas.joblib._copies._areas
    # Other programs have their own.
    assert not glob.glob(f"/dev/shm/joblib_memmapping_folder_{os.getpid()}_*/*")


def test_the_same_array_changed_between_calls_is_not_an_old_copy():
    array = np.zeros(1_000_000, "i8")
    assert [reported[3] for reported in parallel(about, (array,))] == [0]
    array += 1
    assert [reported[3] for reported in parallel(about, (array,))] == [1_000_000]


def test_small_arrays_and_other_modes_are_joblibs_own():
    small = np.ones(10)
    assert parallel(about, (small,))[0][:3] == ("ndarray", True, False)
    large = np.ones(1_000_000)
    kind, _, in_area, _ = parallel(about, (large,), mmap_mode="c")[0]
    assert (kind, in_area) == ("memmap", False)
    assert parallel(about, (large,), max_nbytes=None)[0][:3] == ("ndarray", True, False)


def test_objects_are_pickled_as_ever():
    array = np.array([None, 1, "x"] * 500_000, dtype=object)
    assert parallel(len, (array,)) == [1_500_000]


def test_views_come_back_as_what_they_are():
    with areas.create("joblib: back", shape=(4, 3), dtype="i8") as area:
        area.array[...] = np.arange(12).reshape(4, 3)
        (back,) = parallel(part, (area.array,))
        area.array[1, 0] = 100
        assert back.tolist() == [[100, 4, 5], [6, 7, 8]]


def test_unregister_leaves_joblib_as_it_was():
    areas.joblib.unregister()
    kind, _, in_area, _ = parallel(about, (np.ones(1_000_000),))[0]
    assert (kind, in_area) == ("memmap", False)


def test_workers_that_are_there_are_used_again():
    import os

    first = set(parallel(os.getpid, *[()] * 8))
    assert first & set(parallel(os.getpid, *[()] * 8))
