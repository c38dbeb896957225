"""Slabs: many arrays in one area, so that thousands of them take one descriptor and one mapping.

Only the process that made a slab hands out its blocks, and its books are in memory of its own. Other processes reach a block by a handle, and
hold it by a lock that goes with them (:mod:`areas._leases`). A block is free again once no array over it lives anywhere.

**On the way** nobody has a block but who sent it. So the sender keeps it until the receiver says that it has it, by clearing a word in the
sender's outbox (an area of 64 KiB). A message that is never received keeps its block until the sender closes the slab or ends.

**Is it still that block?** Its first word is a number that no other block of the slab ever had, and 0 while the block is being freed: the owner
clears it, and then asks who holds the block; a receiver holds it, and then reads the number. One of the two sees the other.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _areas
from ._areas import Heap, Holding, Memory
from ._array import AreaArray, over
from ._errors import Closed, HolderGone, InvalidInput, Limit, NoMemory, NotFound, OtherMachine, OtherPidNamespace
from ._handles import _machine
from ._leases import Leases

if TYPE_CHECKING:
    from ._area import Shape

#: Before each block: its number.
_HEAD = 64
#: Words of an outbox.
_TICKETS = 8192
#: How long is slept at a time, where a block is waited for: seconds.
_SLICE = 0.001


class Slab:
    """Memory for many arrays: one area, one descriptor, one mapping in each process.

    >>> slab = areas.Slab("doc: slab", 1 << 20)
    >>> one = slab.put([1.0, 2.0, 3.0])
    >>> slab.blocks
    1

    Arrays of a slab are writable, and pickle as handles, as those over whole areas do. The block of an array is free again when the last array
    over it, in whichever process, is gone: deleted, or its process ended, however it ended. Arrays outlive the slab's ``close()``.

    Args:
        name: What the area is called, for ``areas ls`` and :func:`areas.find`; ``None``: ``slab``.
        size: Its bytes. Each array takes its own, rounded up to 64, and 64 more.
        where: ``policy``, ``nodes``, ``home``, ``huge``, ``lock``, ``populate``, ``dump`` as in :func:`areas.create`.

    Raises:
        InvalidInput: ``size`` is smaller than 4096, or larger than 256 GiB.
        areas.Error: as :func:`areas.create`.
    """

    def __init__(self, name: str | bytes | None, size: int, **where: Any) -> None:
        from ._making import name_of

        if not 4096 <= size <= 256 << 30:
            raise InvalidInput(f"cannot make a slab of {size} bytes: it is to have 4096 at least, and 256 GiB at most")
        holding = _areas.create(size, name=b"slab" if name is None else name_of(name), **where)
        self._attach = _Attached(holding, os.getpid(), Leases.create())
        self._heap = Heap(size - size % 64)
        self._pid = os.getpid()
        self._numbers = 0
        #: By offset.
        self._blocks: dict[int, _Block] = {}
        #: Offsets of blocks that no array here lies in any more. (Tokens go at any moment: they only append.)
        self._dropped: deque[int] = deque()
        #: Of these, those that others may hold.
        self._shared: dict[int, None] = {}
        self._sweep_at = 64
        self._closed = False
        self._guard = threading.RLock()
        _slabs.add(self)

    def put(self, array: Any, *, timeout: float = 0.0) -> AreaArray:
        """Copies an array into a block of its own; the array there.

        Args:
            array: An array, or what NumPy makes one of. Its items are not Python objects.
            timeout: Seconds to wait for blocks that others hold, where the slab is full.

        Raises:
            NoMemory: The slab has no room.
            InvalidInput: The items are Python objects.
            Closed: The slab was closed.
        """
        given = np.asanyarray(array)
        made = self.empty(given.shape, given.dtype, timeout=timeout)
        made[...] = given
        return made

    def empty(self, shape: Shape, dtype: Any = "f8", *, timeout: float = 0.0) -> AreaArray:
        """An array of a shape and dtype in a block of its own, whose bytes are whatever lay there before. As :meth:`put`."""
        from ._area import dtype_of, nbytes_of, shape_of

        dims, checked = shape_of(shape), dtype_of(dtype)
        return over(self._memory(nbytes_of(dims, checked), timeout), dims, checked)

    def _memory(self, nbytes: int, timeout: float = 0.0) -> Memory:
        """A block of so many bytes."""
        self._own("put an array into")
        deadline = time.monotonic() + timeout
        while True:
            with self._guard:
                offset = self._allocate(_HEAD + nbytes)
                if offset is not None:
                    return self._made(offset, nbytes)
            if time.monotonic() >= deadline:
                raise self._full(nbytes)
            time.sleep(_SLICE)

    def _allocate(self, nbytes: int) -> int | None:
        self._collect(len(self._shared) <= self._sweep_at)
        offset = self._heap.allocate(nbytes)
        if offset is None:
            self._collect(True)
            offset = self._heap.allocate(nbytes)
        return offset

    def _made(self, offset: int, nbytes: int) -> Memory:
        self._numbers += 1
        self._blocks[offset] = _Block(nbytes, self._numbers)
        self._attach.number(offset, self._numbers)
        return self._attach.memory.part(offset + _HEAD, nbytes, _Own(self, offset, self._numbers))

    def _again(self, offset: int, nbytes: int, number: int) -> Memory:
        """A block of its own that comes back by a handle."""
        with self._guard:
            self._collect(False)
            block = self._blocks.get(offset)
            if block is None or (block.number, block.nbytes) != (number, nbytes):
                raise _freed(number, self._pid)
            block.references += 1
            self._shared.pop(offset, None)
            return self._attach.memory.part(offset + _HEAD, nbytes, _Own(self, offset, number))

    def _collect(self, sweep: bool) -> None:
        """Frees what nobody has any more."""
        if _outbox is not None and _outbox.pid == os.getpid():
            _outbox.collect()
        while True:
            try:
                offset = self._dropped.popleft()
            except IndexError:
                break
            block = self._blocks[offset]
            block.references -= 1
            if block.references:
                continue
            if block.sent:
                self._shared[offset] = None
            else:
                self._free(offset)
        if not sweep:
            return
        for offset in list(self._shared):
            block = self._blocks[offset]
            # In this order: see the module's text.
            self._attach.number(offset, 0)
            if self._attach.leases.others(offset, _HEAD + block.nbytes):
                self._attach.number(offset, block.number)
            else:
                del self._shared[offset]
                self._free(offset)
        # Where many are held elsewhere, not all are asked about each time.
        self._sweep_at = max(64, 2 * len(self._shared))

    def _free(self, offset: int) -> None:
        self._attach.number(offset, 0)
        del self._blocks[offset]
        self._heap.free(offset)

    def _own(self, what: str) -> None:
        if self._closed:
            raise Closed(f"cannot {what} a slab: it was closed")
        if self._pid != os.getpid():
            raise InvalidInput(
                f"cannot {what} a slab: process {self._pid} made it, and only that one hands out its blocks",
                remedy="make a slab in each process that puts arrays",
            )

    def _full(self, nbytes: int) -> NoMemory:
        with self._guard:
            heap = self._heap
            text = (
                f"cannot put {nbytes} bytes into the slab {self.name!r}: {heap.used} of its {self.nbytes} bytes are taken by"
                f" {heap.blocks} blocks ({len(self._shared)} of them held by other processes alone), and the largest free piece"
                f" has {max(heap.largest - _HEAD, 0)}"
            )
        return NoMemory(text, remedy="make the slab larger, drop arrays sooner, or wait for them: `put(array, timeout=…)`")

    @property
    def name(self) -> str | bytes | None:
        """The area's name."""
        return self._attach.holding.name

    @property
    def nbytes(self) -> int:
        """The bytes of the slab."""
        return self._attach.holding.nbytes

    @property
    def used(self) -> int:
        """The bytes of all blocks, those before them included. What was dropped counts until the next :meth:`put` or :meth:`collect`."""
        return self._heap.used

    @property
    def blocks(self) -> int:
        """How many arrays lie in it."""
        return self._heap.blocks

    def collect(self) -> int:
        """Looks now for blocks that nobody holds any more, and frees them; how many blocks are left.

        Raises:
            Closed: The slab was closed.
            InvalidInput: Another process made it.
        """
        self._own("collect")
        with self._guard:
            self._collect(True)
            return self._heap.blocks

    def close(self) -> None:
        """Hands out no more blocks. Arrays stay valid: the memory, and its name, go with the last of them. May be called twice."""
        self._closed = True
        if _outbox is not None and _outbox.pid == os.getpid():
            _outbox.collect()

    def __enter__(self) -> Slab:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"{self.blocks} blocks, {self.used} of {self.nbytes} bytes"
        return f"<areas.Slab {self.name!r}: {state}>"


class _Block:
    """What the owner's books say of a block."""

    __slots__ = ("nbytes", "number", "references", "sent")

    def __init__(self, nbytes: int, number: int) -> None:
        self.nbytes = nbytes
        self.number = number
        #: Tokens of it in this process.
        self.references = 1
        #: Whether a handle of it was ever made.
        self.sent = False


class _Own:
    """The token of a block in the process that made the slab."""

    __slots__ = ("number", "offset", "slab")

    def __init__(self, slab: Slab, offset: int, number: int) -> None:
        self.slab = slab
        self.offset = offset
        self.number = number

    @property
    def attached(self) -> _Attached:
        return self.slab._attach

    def send(self) -> None:
        """A handle of it is made."""
        blocks = self.slab._blocks
        if self.slab._pid == os.getpid() and self.offset in blocks:
            blocks[self.offset].sent = True

    def __del__(self) -> None:
        if self.slab._pid == os.getpid():
            self.slab._dropped.append(self.offset)
        else:
            # A forked child's: it holds the block by a lock.
            self.slab._attach.leases.release(self.offset)


class _Held:
    """The token of a block of another process's slab."""

    __slots__ = ("attached", "number", "offset")

    def __init__(self, attached: _Attached, offset: int, number: int) -> None:
        self.attached = attached
        self.offset = offset
        self.number = number

    def send(self) -> None:
        """A handle of it is made: this process's outbox keeps it."""

    def __del__(self) -> None:
        self.attached.leases.release(self.offset)


class _Attached:
    """A slab's memory, mapped in this process, and its leases."""

    def __init__(self, holding: Holding, pid: int, leases: Leases) -> None:
        self.holding = holding
        self.memory: Memory = holding.lease(True)
        self.leases = leases
        #: What a handle says of the slab: its process, its area, its memory object, the descriptor and the file of its leases.
        self.where: tuple[int, ...] = (pid, holding.id or 0, holding.inode, leases.number, leases.inode)
        self._words = memoryview(self.memory).cast("B")[: holding.nbytes // 8 * 8].cast("Q")

    def number(self, offset: int, number: int) -> None:
        """Writes a block's number."""
        self._words[offset // 8] = number

    def is_number(self, offset: int, number: int) -> bool:
        """Whether a block has that number; that of one that is being looked at by its owner comes back soon."""
        for _ in range(100):
            found = self._words[offset // 8]
            if found:
                return bool(found == number)
            time.sleep(0.0002)
        return False

    def block(self, offset: int, nbytes: int, number: int) -> Memory:
        """Holds a block, if it is still there."""
        if offset < 0 or offset % 64 or nbytes < 0 or offset + _HEAD + nbytes > self.memory.nbytes:
            raise InvalidInput(
                f"cannot open a handle of an array in a slab: a block at byte {offset} with {nbytes} bytes is not in its"
                f" {self.memory.nbytes} bytes"
            )
        self.leases.acquire(offset, _HEAD + nbytes)
        token = _Held(self, offset, number)
        if not self.is_number(offset, number):
            del token
            raise _freed(number, self.where[0])
        return self.memory.part(offset + _HEAD, nbytes, token)


def _freed(number: int, pid: int) -> HolderGone:
    return HolderGone(
        f"cannot open a handle of an array in a slab: its block, number {number}, was freed in process {pid}",
        remedy="hold the array until the other side has opened the handle; a handle that was opened once holds nothing",
    )


class _Outbox:
    """What this process has sent and nobody has opened yet: a word each, which the receiver clears."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.holding = _areas.create(8 * _TICKETS, name=b"areas: on the way")
        self.where = (self.holding.id or 0, self.holding.inode)
        self._words = memoryview(self.holding.lease(True)).cast("Q")
        self._serial = 0
        self._free = deque(range(_TICKETS))
        #: By ticket: what is kept.
        self._kept: dict[int, Memory] = {}
        self._guard = threading.RLock()

    def keep(self, memory: Memory) -> tuple[int, int]:
        """Keeps memory until it is said to have come; the ticket and its number."""
        with self._guard:
            self.collect()
            if not self._free:
                raise Limit(
                    f"cannot pickle an array in a slab: {_TICKETS} are on their way, and nobody has opened them",
                    remedy="send as much as is received; an array of a slab is pickled to be opened elsewhere, once",
                )
            ticket = self._free.popleft()
            self._serial += 1
            self._words[ticket] = self._serial
            self._kept[ticket] = memory
            return ticket, self._serial

    def collect(self) -> None:
        """Lets go of what has come."""
        with self._guard:
            come = [ticket for ticket in self._kept if not self._words[ticket]]
            gone = [self._kept.pop(ticket) for ticket in come]
            self._free.extend(come)
        del gone


def _sender() -> _Outbox:
    """This process's outbox."""
    global _outbox
    if _outbox is None or _outbox.pid != os.getpid():
        _outbox = _Outbox()
    return _outbox


def describe(memory: Memory) -> tuple[Any, ...]:
    """The handle of a block, which this process keeps until it is opened elsewhere: plain numbers."""
    token: _Own | _Held = memory.token
    token.send()
    outbox = _sender()
    offset = token.offset
    return _machine() + token.attached.where + (offset, memory.nbytes, token.number, outbox.pid, *outbox.where, *outbox.keep(memory))


def reduce(array: np.ndarray[Any, Any], memory: Memory) -> Any:
    """How an array in a slab pickles."""
    offset = array.__array_interface__["data"][0] - memory.address
    strides = None if array.flags.c_contiguous else array.strides
    return _open, (describe(memory), array.dtype, array.shape, offset, strides, bool(array.flags.writeable))


def _open(handle: Any, dtype: Any, shape: Any, offset: Any, strides: Any, write: Any) -> AreaArray:
    """Opens a handle of an array: what unpickling calls. That the array lies in its block NumPy checks."""
    if not isinstance(dtype, np.dtype) or dtype.hasobject:
        raise InvalidInput(f"cannot open a handle of an array in a slab: its items are of dtype {dtype!r}")
    memory = open_block(handle)
    try:
        array = over(memory, shape, dtype, offset, strides)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"cannot open a handle of an array in a slab: {error}") from None
    if not write:
        array.flags.writeable = False
    return array


def open_block(handle: tuple[Any, ...]) -> Memory:
    """The block of a handle, held by this process.

    Raises:
        HolderGone: Nobody holds it any more.
        OtherMachine, OtherPidNamespace: It is from elsewhere.
        InvalidInput: It is no handle.
    """
    if len(handle) != 15 or not all(isinstance(part, int) for part in handle[1:]) or not isinstance(handle[0], bytes):
        raise InvalidInput("cannot open a handle of an array in a slab: it is none", remedy="use one version of `areas` in all processes")
    boot, namespace, *numbers = handle
    _is_here(boot, namespace, numbers[0])
    where, (offset, nbytes, number), sender, ticket = tuple(numbers[:5]), numbers[5:8], tuple(numbers[8:11]), numbers[11:13]
    own = next((slab for slab in list(_slabs) if slab._pid == os.getpid() and slab._attach.where == where), None)
    memory = own._again(offset, nbytes, number) if own else _attached(where).block(offset, nbytes, number)
    _clear(sender, *ticket)
    return memory


def _is_here(boot: bytes, namespace: int, pid: int) -> None:
    here = _machine()
    if boot != here[0]:
        raise OtherMachine(
            "cannot open a handle of an array in a slab: it is from another machine, or from before this one booted",
            remedy="pickle by bytes for other machines and for files: `with areas.by_value(): …`",
        )
    if namespace != here[1]:
        raise OtherPidNamespace(
            f"cannot open a handle of an array in a slab: it is from process {pid} of another pid namespace (a container)",
            remedy="pickle by bytes: `with areas.by_value(): …`",
        )


#: Slabs and outboxes of others that are mapped here, the one used last at the end.
_known: dict[tuple[int, ...], _Attached] = {}
_outboxes: dict[tuple[int, ...], tuple[Holding, memoryview]] = {}
_opening = threading.RLock()
#: Of those in which this process holds nothing so many stay mapped.
_IDLE = 8

_slabs: weakref.WeakSet[Slab] = weakref.WeakSet()
_outbox: _Outbox | None = None


def _attached(where: tuple[int, ...]) -> _Attached:
    """The slab of a handle, mapped."""
    with _opening:
        known = _known.pop(where, None)
        if known is None:
            _prune()
            known = _opened(where)
        _known[where] = known
        return known


def _opened(where: tuple[int, ...]) -> _Attached:
    pid, area, inode, number, leases = where
    try:
        holding = _areas.open_located(pid, area, inode, True, False)
    except NotFound as error:
        raise HolderGone(
            f"cannot open a handle of an array in a slab: process {pid} has the slab no more; {error}",
            remedy="keep the slab (`areas.Slab`) in the process that made it until the other side has opened the handle",
        ) from None
    attached = _Attached(holding, pid, Leases.open(pid, number, leases))
    attached.where = where
    return attached


def _prune() -> None:
    """Unmaps what is not needed: slabs of processes that are gone, and those that were not used for long."""
    idle = [where for where, known in _known.items() if not known.leases.any]
    for at, where in enumerate(idle):
        if at < len(idle) - _IDLE or not _lives(where[0]):
            del _known[where]
    for sender in list(_outboxes):
        if not _lives(sender[0]):
            del _outboxes[sender]


def _lives(pid: int) -> bool:
    return os.path.exists(f"/proc/{pid}")


def _clear(sender: tuple[int, ...], ticket: int, serial: int) -> None:
    """Says to who sent it that it has come."""
    if sender[0] == os.getpid() and _outbox is not None and sender[1:] == _outbox.where:
        words = _outbox._words
    else:
        with _opening:
            known = _outboxes.get(sender)
            if known is None:
                try:
                    pid, area, inode = sender
                    holding = _areas.open_located(pid, area, inode, True, False)
                except NotFound:
                    # Who sent it is gone, and keeps nothing.
                    return
                known = _outboxes[sender] = holding, memoryview(holding.lease(True)).cast("Q")
        words = known[1]
    if 0 <= ticket < len(words) and words[ticket] == serial:
        words[ticket] = 0


#: What is locked while this process forks, and is to be unlocked.
_forking: list[tuple[Leases, Slab | None]] = []


def _before_fork() -> None:
    _opening.acquire()
    for slab in list(_slabs):
        if slab._pid == os.getpid():
            slab._guard.acquire()
            slab._collect(False)
            live = {offset: block for offset, block in slab._blocks.items() if block.references}
            for block in live.values():
                # From now on somebody else may have it.
                block.sent = True
            _forking.append((slab._attach.leases, slab))
            slab._attach.leases.before_fork({offset: _HEAD + block.nbytes for offset, block in live.items()})
    for known in list(_known.values()):
        _forking.append((known.leases, None))
        known.leases.before_fork({})


def _after_in_parent() -> None:
    for leases, slab in _forking:
        leases.after_in_parent()
        if slab is not None:
            slab._guard.release()
    _forking.clear()
    _opening.release()


def _after_in_child() -> None:
    global _opening
    for leases, slab in _forking:
        if slab is None:
            leases.after_in_child({})
            continue
        slab._guard = threading.RLock()
        live = {offset: block for offset, block in slab._blocks.items() if block.references}
        leases.after_in_child({offset: [block.references, _HEAD + block.nbytes] for offset, block in live.items()})
        # To the child it is a slab of another process.
        _known[slab._attach.where] = slab._attach
    _forking.clear()
    _opening = threading.RLock()


os.register_at_fork(before=_before_fork, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
