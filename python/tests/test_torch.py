"""torch's tensors as handles into slabs."""

from __future__ import annotations

import gc
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import time

import areas
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed here")

import areas.torch  # noqa: E402


@pytest.fixture(autouse=True)
def nothing_is_left():
    """As everywhere; but for the outbox, and the slab of this process's tensors, which stay."""
    areas.torch.register(size=64 << 20)
    yield
    areas.torch.unregister()
    gc.collect()
    deadline = time.monotonic() + 10
    while areas.torch.stats()["blocks"] and time.monotonic() < deadline:
        time.sleep(0.01)
    assert areas.torch.stats()["blocks"] == 0


@pytest.fixture(autouse=True, scope="module")
def nothing_is_kept():
    """For the modules that come after this one."""
    from areas import _slab

    yield
    areas.torch._state = areas.torch._State()
    _slab._outbox = None
    _slab._outboxes.clear()
    gc.collect()
    _slab._areas.detach_dead()


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def mappings() -> int:
    with open("/proc/self/maps") as maps:
        return sum("/memfd:" in line or "/dev/shm/" in line for line in maps)


def echo(pipe):
    areas.torch.register(size=64 << 20)
    while True:
        given = pipe.recv()
        if given is None:
            return
        with torch.no_grad():
            given += 1
        pipe.send(given)
        del given


@pytest.fixture(params=["fork", "spawn"])
def other(request):
    context = multiprocessing.get_context(request.param)
    pipe, theirs = context.Pipe()
    process = context.Process(target=echo, args=(theirs,))
    process.start()
    theirs.close()
    yield pipe
    pipe.send(None)
    process.join(30)


def test_a_tensor_of_the_slab_is_the_same_memory_on_both_sides(other):
    mine = areas.torch.put(torch.arange(1000).reshape(10, 100))
    other.send(mine[2:, ::2])
    back = other.recv()
    assert mine[2, 0] == 201 and mine[0, 0] == 0 and mine[2, 1] == 201
    assert back.data_ptr() == mine[2:].data_ptr()
    assert back.stride() == (100, 2)


def test_other_tensors_are_copied(other):
    mine = torch.arange(1000.0)
    other.send(mine)
    assert torch.equal(other.recv(), torch.arange(1000.0) + 1)
    assert torch.equal(mine, torch.arange(1000.0))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.int8, torch.complex64, torch.float64])
def test_dtypes(other, dtype):
    given = torch.ones(1000, dtype=dtype)
    other.send(given)
    back = other.recv()
    assert back.dtype == dtype and torch.equal(back, given + 1)


def test_small_ones_parameters_and_gradients(other):
    for given in (torch.ones(3), torch.nn.Parameter(torch.ones(1000)), torch.ones(1000, requires_grad=True), torch.empty(0, 5)):
        other.send(given)
        back = other.recv()
        assert type(back) is type(given) and back.requires_grad == given.requires_grad
        assert torch.equal(back.detach(), given.detach() + 1)


def test_what_is_shared_is_left_to_torch(other):
    given = torch.ones(1000).share_memory_()
    other.send(given)
    other.recv()
    assert given[0] == 2
    assert areas.torch.stats()["left_to_torch"] >= 1


def test_no_descriptor_and_no_mapping_a_tensor(other):
    for _ in range(10):
        other.send(torch.ones(1000))
        other.recv()
    before = descriptors(), mappings()
    held = []
    for n in range(500):
        other.send(torch.full((1000,), float(n)))
        held.append(other.recv())
    assert (descriptors(), mappings()) == before
    assert [int(one[0]) for one in held] == [n + 1 for n in range(500)]


class Squares(torch.utils.data.Dataset):
    def __len__(self):
        return 64

    def __getitem__(self, at):
        return torch.full((1000,), float(at)), at * at


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_loader_does_not_grow_from_epoch_to_epoch(method):
    loader = torch.utils.data.DataLoader(
        Squares(), batch_size=8, num_workers=2, multiprocessing_context=method, persistent_workers=True,
        worker_init_fn=areas.torch.worker_init,
    )  # fmt: skip
    seen = []
    for _ in range(4):
        held = list(loader)
        for at, (values, squares) in enumerate(held):
            assert values[:, 0].tolist() == [float(n) for n in range(8 * at, 8 * at + 8)]
            assert squares.tolist() == [n * n for n in range(8 * at, 8 * at + 8)]
            assert areas.torch._untyped(values).data_ptr() in areas.torch._blocks
        del held, values, squares
        gc.collect()
        seen.append((descriptors(), mappings()))
    assert seen[1:] == seen[:1] * 3


def test_a_full_slab_is_torchs_way_and_counted(other):
    before = areas.torch.stats()["left_to_torch"]
    given = torch.ones(65 << 20, dtype=torch.uint8)
    other.send(given)
    assert other.recv()[-1] == 2
    assert areas.torch.stats()["left_to_torch"] == before + 1


def test_the_slab_cannot_change_its_size():
    kept = areas.torch.put(torch.ones(1000))
    with pytest.raises(areas.InvalidInput, match="cannot make the slab"):
        areas.torch.register(size=1 << 20)
    assert kept.sum() == 1000


def test_workers_of_each_epoch_leave_nothing_here():
    """Without persistent workers each epoch has new ones: those that are gone keep no descriptor
    and no mapping."""
    loader = torch.utils.data.DataLoader(
        Squares(), batch_size=8, num_workers=2, multiprocessing_context="fork", worker_init_fn=areas.torch.worker_init
    )
    seen = []
    for _ in range(8):
        held = list(loader)
        assert [int(values[0, 0]) for values, _ in held] == list(range(0, 64, 8))
        del held
        gc.collect()
        seen.append((descriptors(), mappings()))
    # What went is unmapped when something new comes, if it has ended by then: those of one epoch,
    # two workers with a slab and an outbox and a table each, may be there still. What stayed of
    # each epoch would be more by now.
    assert all(now <= then + 6 for now, then in zip(seen[-1], seen[1])), seen


def send_many(pipe, count):
    areas.torch.register(size=64 << 20)
    for n in range(count):
        pipe.send(torch.full((1000,), float(n)))
    pipe.recv()


@pytest.fixture
def few_descriptors():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_ten_thousand_tensors_at_once_with_256_descriptors(method, few_descriptors):
    context = multiprocessing.get_context(method)
    pipe, theirs = context.Pipe()
    process = context.Process(target=send_many, args=(theirs, 10_000))
    process.start()
    theirs.close()
    before = descriptors(), mappings()
    held = [pipe.recv() for _ in range(10_000)]
    # The sender's slab and its outbox.
    assert descriptors() <= before[0] + 4 and mappings() <= before[1] + 4
    assert [int(one[-1]) for one in held] == list(range(10_000))
    pipe.send(None)
    process.join(30)
    # Their sender is gone: their holders keep them.
    assert [int(one[-1]) for one in held] == list(range(10_000))


def of_torch() -> set[str]:
    return {name for name in os.listdir("/dev/shm") if name.startswith("torch_")}


def test_killed_workers_leave_nothing():
    before = of_torch()
    loader = torch.utils.data.DataLoader(
        Squares(), batch_size=1, num_workers=2, multiprocessing_context="fork", persistent_workers=True,
        worker_init_fn=areas.torch.worker_init,
    )  # fmt: skip
    batches = iter(loader)
    # The second one is the other worker's.
    first, second = next(batches), next(batches)
    processes = list(batches._workers)
    workers = [worker.pid for worker in processes]
    assert {info.pid for info in areas.list()} >= set(workers)
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    with pytest.raises(RuntimeError, match="worker"):
        list(batches)
    # One is enough for that: the other may still be ending.
    for process in processes:
        process.join(30)
    assert first[0].tolist() == [[0.0] * 1000]
    assert not {info.pid for info in areas.list()} & set(workers)
    assert of_torch() == before
    del first, second, batches, loader
    gc.collect()
    areas._areas.detach_dead()
    with open("/proc/self/maps") as maps:
        lines = [line for line in maps if "/memfd:area:torch" in line]
    # But for the slab of this process.
    assert len({line.split()[4] for line in lines}) <= 1


def test_a_queue_with_a_thread_that_pickles():
    context = multiprocessing.get_context("spawn")
    queue, back = context.Queue(), context.Queue()
    process = context.Process(target=add_one, args=(queue, back))
    process.start()
    for n in range(200):
        queue.put(torch.full((1000,), float(n)))
    queue.put(None)
    assert [int(back.get(timeout=60)[0]) for _ in range(200)] == [n + 1 for n in range(200)]
    process.join(30)
    assert process.exitcode == 0


def add_one(queue, back):
    areas.torch.register(size=64 << 20)
    while (given := queue.get()) is not None:
        back.put(given + 1)
        del given
    back.close()
    back.join_thread()


def test_what_torch_refuses_is_refused(other):
    with pytest.raises(RuntimeError, match="non-leaf"):
        other.send(torch.ones(10, requires_grad=True) * 2)
    if hasattr(torch.Tensor, "has_names"):
        with pytest.raises(RuntimeError, match="[Nn]amed tensor"):
            other.send(torch.ones(10, 10, names=("rows", "columns")))
    hooked = torch.ones(10, requires_grad=True)
    hooked.register_hook(lambda grad: grad)
    with pytest.warns(UserWarning, match="hook"):
        other.send(hooked)
    assert other.recv().tolist() == [2.0] * 10


def test_what_is_more_than_a_storage_and_strides_is_left_to_torch():
    nested = torch.nested.nested_tensor if hasattr(torch, "nested") else torch.nested_tensor
    for given in (
        nested([torch.ones(2), torch.ones(3)]),
        torch.eye(3).to_sparse(),
        torch.quantize_per_tensor(torch.ones(3), 1.0, 0, torch.quint8),
        torch.ones(3, dtype=torch.complex64).conj(),
        torch.empty(3, device="meta"),
    ):
        assert not areas.torch._goes_by_handle(given)


def test_a_tensor_does_not_grow_beyond_its_block(other):
    other.send(torch.ones(1000))
    back = other.recv()
    with pytest.raises(RuntimeError, match="resiz"):
        # (torch changes the shape all the same, of any tensor over memory that is not its own:
        # nothing may be read of it.)
        back.resize_(1 << 20)
    assert areas.torch._untyped(back).nbytes() < 8192


AT_THE_END = """
import areas.torch, atexit, multiprocessing, threading, torch
areas.torch.register(size=16 << 20)
kept = [areas.torch.put(torch.ones(1000)) for _ in range(10)]
cycle = [kept[0]]
cycle.append(cycle)
atexit.register(lambda: areas.torch.put(torch.ones(10)).sum())
queue = multiprocessing.get_context("fork").SimpleQueue()
queue.put(kept[0])
came = queue.get()
thread = threading.Thread(target=lambda: kept[1].sum())
thread.start()
thread.join()
print(int(came.sum()))
"""


def test_an_interpreter_that_ends_with_tensors_ends_well():
    ran = subprocess.run([sys.executable, "-X", "dev", "-c", AT_THE_END], capture_output=True, text=True, timeout=100)
    assert (ran.returncode, ran.stdout) == (0, "1000\n"), ran.stderr
    assert "areas" not in ran.stderr
