"""torch's tensors as handles into slabs."""

from __future__ import annotations

import gc
import multiprocessing
import os
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
            assert values.untyped_storage().data_ptr() in areas.torch._blocks
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
