"""Handles: what an array or an area is between two processes.

A handle names the memory: which machine and pid namespace, which process, which area of it, which
memory object. It holds nothing itself. It is checked where it is opened, byte by byte; who opens
one can reach what the registry leads this user to anyway.
"""

from __future__ import annotations

import functools
import os
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from . import _areas, _notes
from ._areas import Holding, Memory
from ._array import AreaArray, memory_of, over
from ._errors import Error, HolderGone, InvalidInput, NotFound, OtherMachine, OtherPidNamespace
from ._known import KNOWN, known

if TYPE_CHECKING:
    import socket

    from ._area import Area

#: Version and flags, boot id (its first bytes), pid namespace, process, area, inode.
_HEAD = struct.Struct("<B6sIIiQ")
_VERSION = 0x10
_WRITE = 1
_STRIDED = 2
_STRUCTURED = 4

_by_value: ContextVar[bool] = ContextVar("areas_by_value", default=False)


@contextmanager
def by_value() -> Iterator[None]:
    """Within it, arrays over areas pickle by their bytes, as any array does: for other machines,
    and for files.

    With ``protocol=5`` and a ``buffer_callback`` the bytes go out of band, without a copy.
    """
    token = _by_value.set(True)
    try:
        yield
    finally:
        _by_value.reset(token)


def _boot() -> bytes:
    """Which run of which machine this is: the first 6 bytes of the kernel's boot id, which is
    random."""
    with open("/proc/sys/kernel/random/boot_id") as file:
        return bytes.fromhex(file.read().replace("-", "")[:12])


#: A process never changes its pid namespace; a forked child may begin in another one.
_MACHINE: list[tuple[bytes, int]] = []
os.register_at_fork(after_in_child=_MACHINE.clear)


def _machine() -> tuple[bytes, int]:
    """The boot, and the pid namespace."""
    if not _MACHINE:
        _MACHINE.append((_boot(), os.stat("/proc/self/ns/pid").st_ino & 0xFFFF_FFFF))
    return _MACHINE[0]


#: Of threads that open handles of the same memory, one does.
_opening = threading.Lock()
os.register_at_fork(after_in_child=lambda: globals().__setitem__("_opening", threading.Lock()))


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


class _Reader:
    """Reads what another process wrote."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def bytes(self, count: int) -> bytes:
        part = self._data[self._at : self._at + count]
        if len(part) != count:
            raise InvalidInput("cannot open a handle of an array: it ends too early")
        self._at += count
        return part

    def varint(self) -> int:
        number = shift = 0
        while True:
            byte = self.bytes(1)[0]
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                return number
            shift += 7
            if shift > 63:
                raise InvalidInput("cannot open a handle of an array: a number in it is too large")

    def signed(self) -> int:
        number = self.varint()
        return (number >> 1) ^ -(number & 1)

    def ends(self) -> None:
        if self._at != len(self._data):
            raise InvalidInput("cannot open a handle of an array: there is more than one in it")


def _layout(array: np.ndarray[Any, Any], memory: Memory) -> tuple[int, bytes]:
    """Flags, and where in its memory an array is: offset, dtype, shape, strides."""
    offset = _areas.address_of(array) - memory.address
    flags, described = _described(array.dtype, array.shape, None if array.flags.c_contiguous else array.strides)
    if array.flags.writeable:
        flags |= _WRITE
    return flags, _varint(offset) + described


@functools.lru_cache(maxsize=256)
def _described(dtype: np.dtype[Any], shape: tuple[int, ...], strides: tuple[int, ...] | None) -> tuple[int, bytes]:
    """Flags and bytes of what an array is, wherever it begins."""
    flags = 0
    text = dtype.str.encode()
    if dtype.names is not None or dtype.subdtype is not None:
        import json

        flags |= _STRUCTURED
        text = json.dumps(_notes.encode_dtype(dtype), separators=(",", ":")).encode()
    parts = [_varint(len(text)), text, _varint(len(shape))]
    parts += [_varint(dim) for dim in shape]
    if strides is not None:
        flags |= _STRIDED
        parts += [_varint((step << 1) ^ (step >> 63)) for step in strides]
    return flags, b"".join(parts)


def reduce(array: AreaArray, protocol: int) -> Any:
    """How an array pickles: as a handle while it lies in an area's memory, else as a plain
    array."""
    if not _by_value.get():
        handle = _areas.handle(array, KNOWN, *_machine())
        if handle is not None:
            return _open, (handle,)
    memory = memory_of(array)
    if memory is None or _by_value.get():
        return array.view(np.ndarray).__reduce_ex__(protocol)
    if memory.handle is not None:
        from . import _slab

        return _slab.reduce(array, memory)
    if memory.id is None:
        raise _unnamed("an array over an area")
    known(array.dtype, array.dtype)
    return _open, (_handle(array, memory),)


def reduce_area(area: Area) -> Any:
    """How an area pickles: as the handle of its array."""
    if _by_value.get():
        raise InvalidInput("cannot pickle an area by its bytes", remedy="pickle its array: `with areas.by_value(): … a.array`")
    array = area.array
    memory = memory_of(array)
    if memory is None or memory.id is None:
        raise _unnamed("an area")
    return _open_area, (_handle(array, memory),)


def _unnamed(what: str) -> Error:
    return InvalidInput(
        f"cannot pickle {what} without a name: no other process could find it",
        remedy="give the area a name (`areas.create(name, …)`); or pass it on by its descriptor: to a process of multiprocessing, or by"
        " `areas.send(sock, area)`; or pickle the bytes: `with areas.by_value(): …`",
    )


def _handle(array: AreaArray, memory: Memory) -> bytes:
    flags, layout = _layout(array, memory)
    boot, namespace = _machine()
    return _HEAD.pack(_VERSION | flags, boot, namespace, os.getpid(), memory.id or 0, memory.inode) + layout


class _Layout(NamedTuple):
    """Where in its memory an array is, and which bytes it reaches."""

    offset: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    strides: tuple[int, ...] | None
    low: int
    high: int


#: What a handle leads to: the memory, whether it may be written, and where in it the array is.
_Located = tuple[Holding, bool, _Layout]


def _open(handle: bytes) -> AreaArray:
    """Opens the handle of an array: what unpickling calls."""
    opened = _areas.open_handle(AreaArray, KNOWN, handle, *_machine())
    return _array(*_located(handle)) if opened is None else opened


def _open_area(handle: bytes) -> Area:
    """Opens the handle of an area: what unpickling calls."""
    return _area(*_located(handle))


def _reduce_ex(array: AreaArray, protocol: Any) -> Any:
    return reduce(array, int(protocol))


# (Without an import at each call.)
AreaArray.__reduce_ex__ = _reduce_ex  # type: ignore[assignment, unused-ignore]

# Short names, because they are in each handle.
_open.__module__ = _open_area.__module__ = "areas"


def _located(handle: bytes) -> _Located:
    if not isinstance(handle, bytes) or len(handle) < _HEAD.size or handle[0] & 0xF0 != _VERSION:
        raise InvalidInput(
            "cannot open a handle of an array: it is none, or of another version of this package",
            remedy="use one version of `areas` in all processes",
        )
    flags, boot, namespace, pid, area, inode = _HEAD.unpack_from(handle)
    here_boot, here_namespace = _machine()
    if boot != here_boot:
        raise OtherMachine(
            "cannot open a handle of an array: it is from another machine, or from before this one booted",
            remedy="pickle by bytes for other machines and for files: `with areas.by_value(): …`",
        )
    if namespace != here_namespace:
        raise OtherPidNamespace(
            f"cannot open a handle of an array: it is from process {pid} of another pid namespace (a container), number {namespace};"
            f" this is {here_namespace}",
            remedy="send the area over a Unix socket (`areas.send`, `areas.receive`), or pickle by bytes: `with areas.by_value(): …`",
        )
    write = bool(flags & _WRITE)
    layout = _layout_of(handle[_HEAD.size :], flags)
    return _hold(pid, area, inode, write), write, layout


def _layout_of(data: bytes, flags: int) -> _Layout:
    """What the bytes of a layout say."""
    # The names of a structure's fields can be changed in place, so that each has its own.
    read = _read_layout.__wrapped__ if flags & _STRUCTURED else _read_layout
    return read(data, flags & (_STRUCTURED | _STRIDED))


@functools.lru_cache(maxsize=256)
def _read_layout(data: bytes, flags: int) -> _Layout:
    """The same bytes say the same each time, whatever memory there is."""
    reader = _Reader(data)
    offset = reader.varint()
    text = reader.bytes(reader.varint()).decode("utf-8", "replace")
    try:
        if flags & _STRUCTURED:
            import json

            dtype = _notes.decode_dtype(json.loads(text))
        else:
            dtype = _notes.decode_dtype(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"cannot open a handle of an array: {error}") from None
    ndim = reader.varint()
    if ndim > 64:
        raise InvalidInput(f"cannot open a handle of an array: it has {ndim} dimensions")
    shape = tuple(reader.varint() for _ in range(ndim))
    strides = tuple(reader.signed() for _ in range(ndim)) if flags & _STRIDED else None
    reader.ends()
    known(text, dtype)
    return _Layout(offset, dtype, shape, strides, *_reach(offset, dtype, shape, strides))


def _reach(offset: int, dtype: np.dtype[Any], shape: tuple[int, ...], strides: tuple[int, ...] | None) -> tuple[int, int]:
    """The first byte that an array reaches, and the first one behind it."""
    low = high = offset
    if 0 in shape:
        return low, high
    steps = list(strides or ())
    if strides is None:
        step = dtype.itemsize
        for dim in reversed(shape):
            steps.insert(0, step)
            step *= dim
    low += sum((dim - 1) * step for dim, step in zip(shape, steps, strict=True) if step < 0)
    high += sum((dim - 1) * step for dim, step in zip(shape, steps, strict=True) if step > 0) + dtype.itemsize
    return low, high


def _array(holding: Holding, write: bool, layout: _Layout) -> AreaArray:
    """The array of a handle, over memory that is held here. What does not fit into the memory is
    refused."""
    memory = holding.lease(write)
    offset, dtype, shape, strides, low, high = layout
    if low < 0 or high > memory.nbytes:
        raise InvalidInput(
            f"cannot open a handle of an array: it reaches from byte {low} to {high}, and the memory has {memory.nbytes} bytes"
        )
    if 0 in shape:
        return over(memory, shape, dtype)
    return over(memory, shape, dtype, offset, strides)


def _area(holding: Holding, write: bool, layout: _Layout) -> Area:
    """The area of a handle."""
    from ._area import Area

    _array(holding, write, layout)
    return Area(holding, layout.shape, layout.dtype, None)


def _hold(pid: int, area: int, inode: int, write: bool) -> Holding:
    """The memory of a handle: what is here already, or opened."""
    held = _areas.held(inode, write)
    if held is not None:
        return held
    with _opening:
        held = _areas.held(inode, write)
        if held is not None:
            return held
        try:
            holding = _areas.open_located(pid, area, inode, write, True)
        except NotFound as error:
            raise HolderGone(
                f"cannot open a handle of an array: process {pid} does not hold area {area} any more, and no other process does"
                f" ({'the process has ended' if not _lives(pid) else 'it was dropped there'}); {error}",
                remedy="hold the area (keep the `Area`, or an array over it) until the other side has opened the handle",
            ) from None
        return holding


def _lives(pid: int) -> bool:
    return os.path.exists(f"/proc/{pid}")


class Parcel:
    """An area on its way to a process that gets its descriptor: in the queue of a socket pair,
    whose one end is passed on."""

    def __init__(self, holding: Holding, read_only: bool) -> None:
        import socket

        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with ours:
            holding.send(ours.fileno(), read_only)
        self.socket = theirs


def _parcel(array: AreaArray, memory: Memory) -> tuple[Any, ...]:
    """An array on its way by descriptor."""
    from multiprocessing import context, reduction

    flags, layout = _layout(array, memory)
    parcel = Parcel(memory.holding, not array.flags.writeable)
    descriptor = reduction.DupFd(parcel.socket.fileno())
    starting = context.get_spawning_popen()
    if starting is None:
        # The descriptor was duplicated.
        parcel.socket.close()
    else:
        # It is inherited by number, and so has to be open when the process starts: it goes with the
        # object of that process.
        vars(starting).setdefault("_areas_parcels", []).append(parcel.socket)
    return descriptor, flags, layout, memory.inode


def _received(descriptor: Any, flags: int, layout: bytes, inode: int) -> _Located:
    import socket

    write = bool(flags & _WRITE)
    with socket.socket(fileno=descriptor.detach()) as queue, _opening:
        holding = _areas.held(inode, write)
        if holding is None:
            holding = _areas.receive(queue.fileno(), 10.0)
    return holding, write, _layout_of(layout, flags)


def _unpack(*parcel: Any) -> AreaArray:
    """Opens an array that came by descriptor."""
    return _array(*_received(*parcel))


def _unpack_area(*parcel: Any) -> Area:
    """Opens an area that came by descriptor."""
    return _area(*_received(*parcel))


def _reduce_between(array: AreaArray) -> Any:
    """How arrays pickle between processes of `multiprocessing`: without a name they go by
    descriptor."""
    memory = memory_of(array)
    # (A slab of another process is mapped here, and not published.)
    if memory is None or _by_value.get() or memory.handle is not None or memory.id is not None:
        return reduce(array, 4)
    return _unpack, _parcel(array, memory)


def _reduce_area_between(area: Area) -> Any:
    array = area.array
    memory = memory_of(array)
    if memory is None or _by_value.get() or memory.id is not None:
        return reduce_area(area)
    return _unpack_area, _parcel(array, memory)


_registered = False


def register() -> None:
    """Has `multiprocessing` pass areas without a name by their descriptors. Called where the first
    one is made."""
    global _registered
    if not _registered:
        from multiprocessing.reduction import ForkingPickler

        from ._area import Area

        ForkingPickler.register(AreaArray, _reduce_between)
        ForkingPickler.register(Area, _reduce_area_between)
        _registered = True


def send(sock: socket.socket, area: Area, *, read_only: bool = False) -> None:
    """Sends an area over a connected Unix socket: to other users, to containers.

    It stays alive on its way: the memory is freed when it has no holder left, a socket's queue
    included. With ``read_only`` the other side may only read it, which the kernel enforces. Its
    dtype and shape go before it.

    Args:
        sock: A connected ``AF_UNIX`` socket.
        area: The area.

    Raises:
        Error: With what the socket said. While the queue is full it waits, unless the socket does
            not.
    """
    area._send(sock, read_only)


def receive(sock: socket.socket, timeout: float | None = None, *, max_nbytes: int | None = None) -> Area:
    """Takes an area that was sent over a connected Unix socket.

    It has no name here: it is not found by way of this process.

    Args:
        sock: A connected ``AF_UNIX`` socket.
        timeout: Seconds to wait; ``None`` for as long as it takes.
        max_nbytes: The most bytes that are taken on; ``None``: the machine's RAM and swap.

    Raises:
        TimedOut: Nothing came in time.
        Limit: It has more bytes than are taken on. It stays in the queue.
        InvalidInput: What came is not an area, or is not what is said of it.
    """
    from ._area import of_note

    holding = _areas.receive(sock.fileno(), timeout, max_nbytes=max_nbytes)
    return of_note(holding, "receive an area")
