"""torch's tensors go between processes as handles into slabs.

torch itself gives each tensor a descriptor, or a file in /dev/shm: a loader of data runs out of the
one, and leaves the other behind. After :func:`register` a tensor takes a block of a slab of its
process: one descriptor a process, whatever the number of tensors, and the block is free again when
the last tensor over it, in whichever process, is gone.

>>> import areas.torch, torch  # doctest: +SKIP
>>> areas.torch.register()
>>> loader = torch.utils.data.DataLoader(data, num_workers=4, worker_init_fn=areas.torch.worker_init)

What changes, and what does not:

- **Tensors that a DataLoader's worker makes** lie in the slab from the start, and are not copied.
- **Other tensors** of the CPU are copied into the slab as they are sent. (torch moves them to
  shared memory, so that both sides have the same tensor from then on. Here that is so for tensors
  of :func:`empty` and :func:`put`, and for those that came as handles.)
- **What is shared already** (``share_memory_()``, ``model.share_memory()``), sparse and quantized
  tensors, and those of other devices go as ever. So does what does not fit into the slab:
  ``areas.torch.stats()["left_to_torch"]`` counts these.

Works with torch 1.13 and newer.
"""

from __future__ import annotations

import os
import threading
import weakref
from multiprocessing.reduction import ForkingPickler
from typing import Any

import torch
from torch.multiprocessing import reductions

from ._areas import Memory
from ._errors import InvalidInput, NoMemory
from ._slab import Slab, describe, open_block

__all__ = ["empty", "put", "register", "slab", "stats", "unregister", "worker_init"]

#: Of a process's slab, where it is not said: 1 GiB of addresses. Pages are taken as tensors are.
_SIZE = 1 << 30


class _State:
    """What this process has."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.guard = threading.RLock()
        self.slab: Slab | None = None
        self.size = _SIZE
        self.where: dict[str, Any] = {}
        self.left_to_torch = 0
        self.sent = 0


_state = _State()
#: Blocks that tensors lie in, by the address of their first byte.
_blocks: weakref.WeakValueDictionary[int, Memory] = weakref.WeakValueDictionary()
_registered = False
#: What torch calls for a storage that others will have: a method of one of the class's bases.
_new_shared = torch.UntypedStorage._new_shared.__func__
#: The storage of a tensor: torch 1.13 has it under another name.
_untyped = torch.Tensor.untyped_storage if hasattr(torch.Tensor, "untyped_storage") else torch.Tensor._storage


def _itemsize(dtype: torch.dtype) -> int:
    # (`dtype.itemsize` came with torch 2.1.)
    return torch.empty((), dtype=dtype).element_size()


def _here() -> _State:
    """This process's state: a forked child has a slab of its own, as large as its parent's."""
    global _state
    if _state.pid != os.getpid():
        size, where = _state.size, _state.where
        _state = _State()
        _state.size, _state.where = size, where
    return _state


def register(size: int = _SIZE, **where: Any) -> None:
    """Has tensors of this process, and of those that it forks, go as handles.

    Processes that are spawned call it themselves; for a DataLoader's there is
    ``worker_init_fn=areas.torch.worker_init``. May be called again.

    Args:
        size: The bytes of the slab of each process: of addresses. RAM is taken as tensors are put.
        where: ``policy``, ``nodes``, ``home``, ``huge``, ``lock`` of the slab, as in
            :func:`areas.create`.

    Raises:
        InvalidInput: The slab is made already, and not of that size.
    """
    global _registered
    state = _here()
    with state.guard:
        if state.slab is not None and (size, where) != (state.size, state.where):
            raise InvalidInput(
                f"cannot make the slab for tensors again: it has {state.size} bytes, and {state.slab.blocks} tensors lie in it",
                remedy="call areas.torch.register(size=…) before the first tensor is sent",
            )
        state.size, state.where = size, where
    if not _registered:
        for kind in _kinds():
            ForkingPickler.register(kind, _reduce)
        torch.UntypedStorage._new_shared = classmethod(_new_in_slab)
        _registered = True


def unregister() -> None:
    """Has tensors go as torch has it. Those that lie in slabs stay valid."""
    global _registered
    if _registered:
        for kind in _kinds():
            ForkingPickler.register(kind, reductions.reduce_tensor)
        del torch.UntypedStorage._new_shared
        _registered = False


def worker_init(_worker: int = 0) -> None:
    """For a DataLoader's ``worker_init_fn``: registers in the worker, whatever the start method
    is."""
    if not _registered:
        register()


def slab() -> Slab:
    """The slab of this process's tensors; made where there is none."""
    state = _here()
    with state.guard:
        if state.slab is None:
            state.slab = Slab("torch: tensors", state.size, **state.where)
        return state.slab


def empty(*shape: int, dtype: torch.dtype | None = None) -> torch.Tensor:
    """A tensor in the slab, whose bytes are whatever lay there before: sent without a copy, and the
    same memory on both sides.

    Raises:
        NoMemory: The slab has no room.
    """
    kind = dtype or torch.get_default_dtype()
    made = torch.Size(shape)
    storage = _storage(slab()._memory(max(made.numel() * _itemsize(kind), 1)))
    return torch.empty(0, dtype=kind).set_(storage, 0, made)


def put(tensor: torch.Tensor) -> torch.Tensor:
    """A copy of a tensor, in the slab. As :func:`empty`."""
    made = empty(*tensor.shape, dtype=tensor.dtype)
    with torch.no_grad():
        made.copy_(tensor)
    return made


def stats() -> dict[str, int]:
    """Of this process: tensors sent as handles, tensors left to torch's own way, blocks and bytes
    taken in the slab."""
    state = _here()
    slab = state.slab
    return {
        "sent": state.sent,
        "left_to_torch": state.left_to_torch,
        "blocks": slab.collect() if slab else 0,
        "used": slab.used if slab else 0,
    }


def _kinds() -> list[type]:
    return [torch.Tensor, torch.nn.Parameter]


def _storage(memory: Memory) -> torch.UntypedStorage:
    """A storage over a block. It keeps the block."""
    storage = _untyped(torch.frombuffer(memory, dtype=torch.uint8))
    _blocks[memory.address] = memory
    return storage


def _new_in_slab(cls: Any, size: int, *, device: Any = "cpu") -> Any:
    """A storage that others will have: what a DataLoader's worker collates into."""
    if torch.device(device).type == "cpu":
        try:
            return _storage(slab()._memory(max(size, 1)))
        except NoMemory:
            pass
    return _new_shared(cls, size, device=device)


def _has_names(tensor: torch.Tensor) -> bool:
    """Whether its dimensions have names: older versions of torch have that, 2.15 has not."""
    return bool(getattr(tensor, "has_names", bool)())


def _goes_by_handle(tensor: torch.Tensor) -> bool:
    return (
        tensor.device.type == "cpu"
        and tensor.layout is torch.strided
        and not tensor.is_quantized
        and not tensor.is_neg()
        and not tensor.is_conj()
        and not tensor.is_nested
        and not _has_names(tensor)
        and type(tensor) in (torch.Tensor, torch.nn.Parameter)
    )


def _reduce(tensor: torch.Tensor) -> Any:
    """How a tensor pickles for another process."""
    state = _here()
    if tensor.requires_grad and not tensor.is_leaf:
        # torch refuses these with a text of its own, as it does those with names.
        return reductions.reduce_tensor(tensor)
    if _goes_by_handle(tensor):
        torch.utils.hooks.warn_if_has_hooks(tensor)
        lies = tensor.detach()
        memory = _blocks.get(_untyped(lies).data_ptr())
        if memory is None and not lies.is_shared():
            try:
                lies = put(lies)
            except NoMemory:
                pass
            else:
                memory = _blocks[_untyped(lies).data_ptr()]
        if memory is not None:
            state.sent += 1
            about = (tensor.dtype, tuple(lies.size()), lies.stride(), lies.storage_offset(), tensor.requires_grad)
            return _open, (type(tensor) is torch.nn.Parameter, describe(memory), *about)
    state.left_to_torch += 1
    return reductions.reduce_tensor(tensor)


def _open(parameter: bool, handle: Any, dtype: Any, size: Any, stride: Any, offset: int, requires_grad: bool) -> torch.Tensor:
    """Opens a handle of a tensor: what unpickling calls. torch checks that it lies in its block."""
    memory = open_block(handle)
    storage = _storage(memory)
    try:
        reach = offset + 1 + sum((dim - 1) * step for dim, step in zip(size, stride, strict=True)) if 0 not in size else 0
        if offset < 0 or any(step < 0 for step in stride) or reach * _itemsize(dtype) > storage.nbytes():
            raise ValueError(f"it reaches to item {reach} of a block of {storage.nbytes()} bytes")
        tensor = torch.empty(0, dtype=dtype).set_(storage, offset, size, stride)
    except (AttributeError, RuntimeError, TypeError, ValueError) as error:
        raise InvalidInput(f"cannot open a handle of a tensor: {error}") from None
    if parameter:
        return torch.nn.Parameter(tensor, requires_grad=requires_grad)
    return tensor.requires_grad_(requires_grad)
