"""Handles: what arrays and areas are between processes."""

import concurrent.futures
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

import areas
import workers
from areas import _handles
from conftest import mapped_areas

METHODS = ("fork", "spawn", "forkserver")


@pytest.fixture(params=METHODS)
def context(request):
    return multiprocessing.get_context(request.param)


def numbers(name, shape=(4, 6), dtype="f8"):
    area = areas.create(name, shape=shape, dtype=dtype)
    area.array[...] = np.arange(np.prod(shape)).reshape(shape)
    return area


VIEWS = {
    "whole": lambda a: a,
    "offset": lambda a: a[1:],
    "row": lambda a: a[2],
    "item": lambda a: a[1:2, 3:4],
    "columns": lambda a: a[:, ::2],
    "reversed": lambda a: a[::-1],
    "both reversed": lambda a: a[::-1, ::-2],
    "transposed": lambda a: a.T,
    "broadcast": lambda a: np.broadcast_to(a[0], (5, 6)),
    "new axis": lambda a: a[:, None, 1],
    "empty": lambda a: a[2:2],
    "other dtype": lambda a: a.view("u4"),
    "window": lambda a: np.lib.stride_tricks.sliding_window_view(a, (2, 2)),
    "scalar": lambda a: a[1, 2:3].reshape(()),
}


@pytest.mark.parametrize("view", VIEWS)
def test_views_are_handles_and_come_back_over_the_same_memory(name, view):
    with numbers(name) as area:
        array = VIEWS[view](area.array)
        pickled = pickle.dumps(array)
        assert len(pickled) < 160
        again = pickle.loads(pickled)
        assert type(again) is type(array) is areas.AreaArray
        assert again.shape == array.shape and again.dtype == array.dtype
        assert np.array_equal(again, array)
        if array.size:
            # Strides of dimensions of 1 do not matter.
            steps = [(a, b) for a, b, n in zip(again.strides, array.strides, array.shape, strict=True) if n > 1]
            assert all(a == b for a, b in steps)
            assert again.__array_interface__["data"][0] == array.__array_interface__["data"][0]
        assert again.flags.writeable == array.flags.writeable


def test_a_handle_has_some_50_bytes(name):
    with numbers(name, (1000, 10)) as area:
        sizes = {protocol: len(pickle.dumps(area.array, protocol)) for protocol in range(3, pickle.HIGHEST_PROTOCOL + 1)}
        assert all(size < 90 for size in sizes.values()), sizes
        assert len(_handles.reduce(area.array, 4)[1][0]) <= 50


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_protocol(name, protocol):
    with numbers(name) as area:
        assert np.array_equal(pickle.loads(pickle.dumps(area.array[::-1], protocol)), area.array[::-1])
        assert pickle.loads(pickle.dumps(area, protocol)).array.sum() == area.array.sum()


def test_results_are_plain_arrays_and_pickle_as_such(name):
    with numbers(name) as area:
        a = area.array
        results = {
            "sum of two": a + 1,
            "in place": np.add(a, 1),
            "picked": a[[0, 1]],
            "masked": a[a > 3],
            "copy": a.copy(),
            "cast": a.astype("f4"),
            "joined": np.concatenate([a, a]),
            "stacked": np.stack([a, a]),
            "where": np.where(a > 2, a, 0),
            "sum": a.sum(axis=0),
            "taken": a.take([1, 2]),
            "repeated": a.repeat(2),
            "flat": a.flatten(),
            "product": a @ a.T,
            "dot": a.dot(a.T),
            "sorted": np.sort(a),
            "compared": a > 1,
            "rounded": a.round(),
            "parts": np.array(a),
            "cumulated": a.cumsum(),
        }
        for what, result in results.items():
            assert type(result) is np.ndarray, what
            pickled = pickle.dumps(result)
            assert b"areas" not in pickled, what
            assert np.array_equal(pickle.loads(pickled), result)
        assert type(a.sum()) is np.float64 and type(a[1, 2]) is np.float64
        assert all(type(part) is areas.AreaArray for part in np.split(a, 2))
        a += 1
        assert type(a) is areas.AreaArray
        assert type(a.reshape(-1)) is areas.AreaArray and type(a.T) is areas.AreaArray
        import copy

        assert type(copy.copy(a)) is np.ndarray and type(copy.deepcopy(a)) is np.ndarray


def test_structured_and_odd_dtypes(name):
    dtypes = ["u1", ">i4", "S7", "U3", "M8[ns]", "m8[2h]", "?", "c16", "V5", [("x", "<f4"), ("y", ">i2", (2,))]]
    dtypes += [np.dtype({"names": ["a", "b"], "formats": ["u1", "f8"], "offsets": [0, 8], "itemsize": 24})]
    dtypes += [np.dtype([("p", [("q", "i4"), ("r", "S3")]), ("ü", "u2")], align=True)]
    for number, dtype in enumerate(dtypes):
        with areas.create(f"{name} {number}", shape=(3, 2), dtype=dtype) as area:
            again = pickle.loads(pickle.dumps(area.array[1:]))
            assert again.dtype == area.array.dtype == np.dtype(dtype), dtype
            assert again.shape == (2, 2)


def test_every_way_to_start_a_process(name, context):
    with numbers(name) as area:
        with context.Pool(2) as pool:
            sums = pool.map(workers.total, [area.array, area.array[1:], area.array[::-1, ::2]])
            pids = pool.apply(workers.write, (area.array[0], 7.0))
        assert pids != os.getpid() and (area.array[0] == 7).all()
    assert [value for value, *_ in sums] == [276.0, 261.0, 132.0]
    assert {kind for _, kind, *_ in sums} == {"AreaArray"}
    assert {writable for _, _, writable, _ in sums} == {True}
    assert {mapped for *_, mapped in sums} == {1}


def test_what_is_read_only_stays_so(name, context):
    with areas.put(np.ones(1000), name) as area, context.Pool(1) as pool:
        assert pool.apply(workers.total, (area.array,))[:3] == (1000.0, "AreaArray", False)


def test_process_pool_executor(name, context):
    with numbers(name) as area, concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
        sums = list(pool.map(workers.total, [area.array] * 8))
        assert {value for value, *_ in sums} == {276.0}
        assert pool.submit(workers.area_sum, area).result() == (276.0, name, False)


def test_areas_without_a_name_go_by_descriptor(context):
    with areas.create(shape=(3, 4), dtype="f8") as area:
        area.array[...] = 2
        ours, theirs = context.Pipe()
        child = context.Process(target=workers.handed, args=(theirs,))
        child.start()
        ours.send(area.array[1:])
        assert ours.recv() == ("AreaArray", (2, 4), 24.0)
        child.join()
        assert area.array.sum() == 8 + 24
        # And as an argument of the process itself.
        child = context.Process(target=workers.write, args=(area.array[0], 9))
        child.start()
        child.join()
        assert child.exitcode == 0 and (area.array[0] == 9).all()
        assert areas.list() == [] or all(info.pid != os.getpid() for info in areas.list())


def test_areas_without_a_name_have_no_other_handle():
    with areas.create(shape=3) as area:
        for thing in (area, area.array, area.array[1:]):
            with pytest.raises(areas.InvalidInput, match="without a name") as caught:
                pickle.dumps(thing)
            assert "areas.send" in caught.value.remedy


def test_what_is_here_is_not_mapped_twice(name):
    from conftest import mapped_areas

    with numbers(name) as area:
        before = mapped_areas()
        arrays = [pickle.loads(pickle.dumps(area.array[i:])) for i in range(4)]
        assert mapped_areas() == before
        assert len(arrays) == 4


def test_a_handle_whose_holder_dropped_it_says_so(name):
    area = numbers(name)
    pickled = pickle.dumps(area.array)
    area.close()
    with pytest.raises(areas.HolderGone, match=f"process {os.getpid()} does not hold area .* any more.*dropped there") as caught:
        pickle.loads(pickled)
    assert isinstance(caught.value, FileNotFoundError) and "hold the area" in caught.value.remedy


def test_a_handle_whose_holder_was_killed_says_so(name):
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    child = context.Process(target=workers.ends_at_once, args=(name, theirs))
    child.start()
    pickled = ours.recv()
    held = pickle.loads(pickled)
    assert held.shape == (4,)
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    # This process holds it now.
    assert pickle.loads(pickled) is not held
    del held
    with pytest.raises(areas.HolderGone, match=f"process {child.pid} .*the process has ended"):
        pickle.loads(pickled)


def test_another_holder_will_do(name):
    with numbers(name) as area:
        code = (
            "import sys, pickle, areas\n"
            f"a = areas.find({name!r}, write=True, dtype='f8')\n"
            "sys.stdout.buffer.write(pickle.dumps(a.array)); sys.stdout.flush(); sys.stdin.read()"
        )
        with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
            pickled = other.stdout.read1()
            other.kill()
        assert pickle.loads(pickled).sum() == area.array.sum()


def changed(area, at, byte):
    handle = bytearray(_handles.reduce(area.array, 4)[1][0])
    handle[at] ^= byte
    return bytes(handle)


def test_another_machine_and_another_pid_namespace(name):
    with numbers(name) as area:
        with pytest.raises(areas.OtherMachine, match="another machine, or from before this one booted"):
            areas._open(changed(area, 3, 1))
        with pytest.raises(areas.OtherPidNamespace, match="another pid namespace"):
            areas._open(changed(area, 8, 1))


@pytest.mark.skipif(
    subprocess.run(["unshare", "--pid", "--fork", "true"], capture_output=True).returncode != 0,
    reason="SKIPPED: no pid namespace can be made here (unshare --pid)",
)
def test_a_real_pid_namespace(name):
    with numbers(name) as area:
        code = "import sys, pickle, areas\ntry: pickle.load(sys.stdin.buffer)\nexcept areas.OtherPidNamespace as e: print(e)"
        out = subprocess.run(
            ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", code],
            input=pickle.dumps(area.array),
            capture_output=True,
        )
        assert f"from process {os.getpid()} of another pid namespace" in out.stdout.decode(), out.stderr.decode()


def test_hostile_handles_raise_and_no_more(name):
    with numbers(name) as area:
        whole = _handles.reduce(area.array[::-1, ::2], 4)[1][0]
        expected = area.array.copy()
        good = 0
        for at in range(len(whole)):
            for bit in range(8):
                try:
                    array = areas._open(changed(area, 0, 0)[:0] + whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :])
                except areas.Error:
                    continue
                # What is opened lies inside of the memory: it can be read whole.
                good += 1
                array.tobytes()
        assert good < 8 * len(whole)
        for length in range(len(whole)):
            with pytest.raises(areas.Error):
                areas._open(whole[:length])
        with pytest.raises(areas.Error):
            areas._open(whole + b"\0")
        assert np.array_equal(area.array, expected)


def test_by_value_for_other_machines(name):
    with numbers(name) as area:
        with areas.by_value():
            pickled = pickle.dumps(area.array)
            buffers = []
            small = pickle.dumps(area.array, protocol=5, buffer_callback=buffers.append)
        area.array[0, 0] = 1000
        again = pickle.loads(pickled)
        assert type(again) is np.ndarray and again.sum() == 276 and b"areas" not in pickled
        # Out of band there is no copy: what is written now is seen.
        assert len(buffers) == 1 and len(small) < 200 and b"areas" not in small
        assert pickle.loads(small, buffers=buffers)[0, 0] == 1000
        del buffers


def test_by_value_is_of_its_thread(name):
    with numbers(name) as area, areas.by_value():
        sizes = []
        thread = threading.Thread(target=lambda: sizes.append(len(pickle.dumps(area.array))))
        thread.start()
        thread.join()
        assert sizes[0] < 160 < len(pickle.dumps(area.array))


def test_many_threads_open_one_handle_once(name):
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    child = context.Process(target=workers.ends_at_once, args=(name, theirs))
    child.start()
    pickled = ours.recv()
    from conftest import mapped_areas

    before = mapped_areas()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        arrays = list(pool.map(pickle.loads, [pickled] * 64))
    assert mapped_areas() == before + 1
    assert len({array.__array_interface__["data"][0] for array in arrays}) == 1
    del arrays
    child.kill()
    child.join()


def test_what_was_open_twice_for_a_while_is_still_known(name):
    with areas.create(name, shape=100) as area:
        handle = pickle.dumps(area.array)
        areas.find(name, write=True).close()
        areas.find(name).close()
        before = mapped_areas()
        opened = [pickle.loads(handle) for _ in range(3)]
        assert mapped_areas() == before
        assert {one.ctypes.data for one in opened} == {area.array.ctypes.data}
        # The first goes, and the other stays.
        found = areas.find(name, write=True)
        del opened
        area.close()
        del area
        before = mapped_areas()
        assert pickle.loads(pickle.dumps(found.array)).ctypes.data == found.array.ctypes.data
        assert mapped_areas() == before
        found.close()
