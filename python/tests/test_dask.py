"""Dask's workers and arrays in areas: two "hosts" on this machine, which have a registry each, and
a pid namespace where that can be had."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import areas
import numpy as np
import pytest

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")

import areas.dask  # noqa: E402
from areas._array import memory_of  # noqa: E402

#: What is reported of an array in a worker: where it lies.
HERE, THERE = "here", "there"


def about(array):
    """What a worker sees: whether it lies in an area, of which inode, whether it may be written,
    and its sum."""
    memory = memory_of(array)
    return memory is not None, memory and memory.inode, array.flags.writeable, int(array.sum())


def make(name):
    """An array in an area of a worker's, which keeps it."""
    area = areas.put(np.arange(5000, dtype="i8"), name=name)
    globals().setdefault("_kept", []).append(area)
    return area.array


def drop():
    globals().pop("_kept", None)


@pytest.fixture(scope="module")
def hosts(tmp_path_factory):
    """A client and two workers: one finds what the client holds, the other one does not."""
    folder = tmp_path_factory.mktemp("dask-host")
    quiet = {
        "distributed.worker.preload": ["areas.dask"],
        "distributed.admin.tick.limit": "60s",
        "distributed.comm.timeouts.connect": "60s",
    }
    areas.dask.register()
    with (
        dask.config.set(quiet),
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, processes=True, dashboard_address=None, local_directory=str(folder)
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        words = [sys.executable, "-m", "distributed.cli.dask_worker", cluster.scheduler_address]
        words += ["--preload", "areas.dask", "--no-nanny", "--nthreads", "1", "--name", THERE, "--no-dashboard"]
        words += ["--local-directory", str(folder)]
        apart = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
        probe = shutil.which("unshare") and subprocess.run([*apart, "true"], capture_output=True).returncode == 0
        registry = folder / "areas"
        registry.mkdir(mode=0o700)
        # Functions of this file are sent by their names.
        path = os.pathsep.join([os.path.dirname(__file__), *filter(None, [os.environ.get("PYTHONPATH")])])
        environment = {**os.environ, "AREAS_DIR": str(registry), "PYTHONPATH": path}
        with open(folder / "log", "wb") as log:
            other = subprocess.Popen(
                [*(apart if probe else []), *words], env=environment, stdout=log, stderr=log
            )
        try:
            client.wait_for_workers(2, timeout=90)
            workers = {}
            for address, worker in client.scheduler_info(n_workers=-1)["workers"].items():
                workers[THERE if worker["name"] == THERE else HERE] = address
            assert set(workers) == {HERE, THERE}, (folder / "log").read_text()
            yield client, workers
        finally:
            other.kill()
            other.wait()


def test_a_scattered_array_is_a_handle_here_and_bytes_there(hosts, name):
    client, workers = hosts
    with areas.put(np.arange(10_000, dtype="i8"), name=name, freeze=False) as area:
        for where in (HERE, THERE):
            future = client.scatter(area.array, workers=[workers[where]], direct=True, hash=False)
            in_area, inode, writeable, total = client.submit(about, future, workers=[workers[where]], pure=False).result(60)
            assert total == 49_995_000
            if where == HERE:
                assert in_area and inode == memory_of(area.array).inode
                assert not writeable, "Dask wants inputs that no process changes"
            else:
                assert not in_area
            future.release()
        settle(client)


def test_through_the_scheduler_go_bytes(hosts, name):
    client, workers = hosts
    with areas.put(np.arange(10_000, dtype="i8"), name=name) as area:
        for where in (HERE, THERE):
            future = client.scatter(area.array, workers=[workers[where]], direct=False, hash=False)
            in_area, _, _, total = client.submit(about, future, workers=[workers[where]], pure=False).result(60)
            assert (in_area, total) == (False, 49_995_000), where
            future.release()
        settle(client)


def test_handles_go_only_to_who_opens_them_and_can():
    here = areas.dask._host()
    assert here is not None and areas.dask._opens_handles({"recipient": {"areas-host": here}})
    # Another place; one that has not registered, and a scheduler, which says nothing; no connection
    # at all.
    for other in ({"recipient": {"areas-host": here + "1"}}, {"recipient": {"pickle-protocol": 5}}, {}, None):
        assert not areas.dask._opens_handles(other), other


def test_a_workers_area_comes_to_the_client_as_a_handle_and_to_the_other_host_as_bytes(hosts, name):
    client, workers = hosts
    made = client.submit(make, name, workers=[workers[HERE]], pure=False)
    distributed.wait(made, timeout=60)
    array = client.gather(made, direct=True)
    assert memory_of(array) is not None and int(array.sum()) == 12_497_500
    there = client.submit(about, made, workers=[workers[THERE]], pure=False).result(60)
    assert there == (False, None, there[2], 12_497_500)
    made.release()
    del array
    client.run(drop, workers=[workers[HERE]])
    settle(client)


def test_arrays_without_a_name_and_plain_ones_are_bytes(hosts):
    client, workers = hosts
    with areas.put(np.arange(100, dtype="i8")) as area:
        for array in (area.array, np.arange(100, dtype="i8")):
            future = client.scatter(array, workers=[workers[HERE]], direct=True, hash=False)
            in_area, _, _, total = client.submit(about, future, workers=[workers[HERE]], pure=False).result(60)
            assert (in_area, total) == (False, 4950)
            future.release()
        settle(client)


def test_views_are_the_part_that_they_are(hosts, name):
    client, workers = hosts
    with areas.put(np.arange(10_000, dtype="i8").reshape(100, 100), name=name) as area:
        view = area.array[::2, 10:20]
        for where in (HERE, THERE):
            future = client.scatter(view, workers=[workers[where]], direct=True, hash=False)
            in_area, _, _, total = client.submit(about, future, workers=[workers[where]], pure=False).result(60)
            assert (in_area, total) == (where == HERE, int(view.sum()))
            future.release()
        del view
        settle(client)


def settle(client):
    """Nothing of what was scattered is left, so that no mapping is, either."""
    import gc
    import time

    deadline = time.monotonic() + 30
    while any(client.run(held).values()) and time.monotonic() < deadline:
        time.sleep(0.05)
    gc.collect()


def held(dask_worker=None):
    return len(dask_worker.data)
