"""Slabs: many arrays in one area, so that thousands of them take one descriptor and one mapping.

Which process has which block, and when one is reused, is the Rust crate ``areas-slab``'s:
``docs/design/slabs.md`` says how. A :class:`Memory` over a block owns a slice (of a slab of this
process) or a lease (of another process's), and the block is free once no array over it lives
anywhere.

**On the way** only the sender has a block. So the sender, the slab's owner or not, keeps it until
the receiver says that it has it, by clearing a word in the sender's outbox (an area of 64 KiB). A
message that is never received keeps its block until its sender ends.

**Fork**: a child has its parent's arrays. Before this process forks, it takes a seat for the child
in each slab, which holds what the parent holds.
"""

from __future__ import annotations

import os
import threading
import time
import warnings
from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _areas
from ._areas import Blocks, Holding, Memory
from ._array import AreaArray, over
from ._errors import Closed, HolderGone, InvalidInput, Limit, NoMemory, NotFound, OtherMachine, OtherPidNamespace
from ._handles import _machine

if TYPE_CHECKING:
    from ._area import Shape

#: What blocks are multiples of: bytes.
_UNIT = 64
#: Words of an outbox.
_TICKETS = 8192
#: How long is slept at a time, where a block is waited for: seconds.
_SLICE = 0.001
#: The largest slab: bytes.
_LARGEST = 127 << 30


class Slab:
    """Memory for many arrays: one area, one descriptor, one mapping in each process.

    >>> slab = areas.Slab("doc: slab", 1 << 20)
    >>> one = slab.put([1.0, 2.0, 3.0])
    >>> slab.blocks
    1

    Arrays of a slab are writable, and pickle as handles, as those over whole areas do. The block of
    an array is free again when the last array over it, in whichever process, is gone: deleted, or
    its process ended, however it ended. Arrays outlive the slab's ``close()``.

    Args:
        name: What the area is called, for ``areas ls`` and :func:`areas.find`; ``None``: ``slab``.
        size: The bytes of all arrays. Each takes its own, rounded up to 64. Beside them the area
            has a table.
        slots: How many arrays there can be at once: one for each KiB of ``size`` (256 at least,
            65536 at most), where it is not given.
        readers: How many other processes can have arrays of it at once: 56, or four for each CPU,
            where it is not given; 1024 at most. The table has 32 bytes for each slot, and 4 for
            each reader there: they take RAM as slots are used (all of it with ``populate``, a lock
            or ``huge``).
        where: ``policy``, ``nodes``, ``home``, ``huge``, ``lock``, ``populate``, ``dump`` as in
            :func:`areas.create`.

    Raises:
        InvalidInput: ``size`` is smaller than 4096, or larger than 127 GiB; ``slots`` or
            ``readers`` cannot be.
        areas.Error: as :func:`areas.create`.
    """

    def __init__(
        self, name: str | bytes | None, size: int, *, slots: int | None = None, readers: int | None = None, **where: Any
    ) -> None:
        from ._making import name_of

        if not 4096 <= size <= _LARGEST:
            raise InvalidInput(f"cannot make a slab of {size} bytes: it is to have 4096 at least, and 127 GiB at most")
        slots = min(max(size // 1024, 256), 1 << 16) if slots is None else slots
        readers = min(max(56, 4 * (os.cpu_count() or 1)), 1024) if readers is None else readers
        if not (1 <= slots <= 1 << 24 and 1 <= readers <= 1024):
            raise InvalidInput(f"cannot make a slab of {slots} slots for {readers} readers: 1 to 16777216 and 1 to 1024 can be")
        self._nbytes = size - size % _UNIT
        called = b"slab" if name is None else name_of(name)
        self._blocks: Blocks = _areas.Blocks(self._nbytes, name=called, slots=slots, readers=readers, **where)
        self._pid = os.getpid()
        self._closed = False

    def put(self, array: Any, *, timeout: float = 0.0) -> AreaArray:
        """Copies an array into a block of its own; the array there.

        Args:
            array: An array, or what NumPy makes one of. Its items are not Python objects.
            timeout: Seconds to wait for blocks that others hold, where the slab is full.

        Raises:
            NoMemory: The slab has no room, or no slot.
            InvalidInput: The items are Python objects.
            Closed: The slab was closed.
        """
        given = np.asanyarray(array)
        made = self.empty(given.shape, given.dtype, timeout=timeout)
        made[...] = given
        return made

    def empty(self, shape: Shape, dtype: Any = "f8", *, timeout: float = 0.0) -> AreaArray:
        """An array of a shape and dtype in a block of its own, whose bytes are whatever lay there
        before. As :meth:`put`."""
        from ._area import dtype_of, nbytes_of, shape_of

        dims, checked = shape_of(shape), dtype_of(dtype)
        return over(self._memory(nbytes_of(dims, checked), timeout), dims, checked)

    def _memory(self, nbytes: int, timeout: float = 0.0) -> Memory:
        """A block of so many bytes."""
        self._own("put an array into")
        deadline = time.monotonic() + timeout
        while True:
            _release(always=False)
            memory = self._blocks.take(nbytes)
            if memory is None:
                _release()
                memory = self._blocks.take(nbytes)
            if memory is not None:
                return memory
            if time.monotonic() >= deadline:
                raise self._full(nbytes)
            time.sleep(_SLICE)

    def _own(self, what: str) -> None:
        if self._closed:
            raise Closed(f"cannot {what} a slab: it was closed")
        if self._pid != os.getpid():
            raise InvalidInput(
                f"cannot {what} a slab: process {self._pid} made it, and only that one hands out its blocks",
                remedy="make a slab in each process that puts arrays",
            )

    def _full(self, nbytes: int) -> NoMemory:
        used, others, largest, blocks, slots = self._blocks.usage()
        if blocks >= slots:
            room, remedy = f"all of its {slots} slots are taken", "make the slab with more `slots`"
        else:
            room, remedy = f"the largest free piece has {largest}", "make the slab larger"
        text = (
            f"cannot put {nbytes} bytes into the slab {self.name!r}: {used} of its {self.nbytes} bytes are taken by"
            f" {blocks} blocks ({others} bytes by blocks that only other processes hold), and {room}"
        )
        return NoMemory(text, remedy=f"{remedy}, drop arrays sooner, or wait for them: `put(array, timeout=…)`")

    @property
    def name(self) -> str | bytes | None:
        """The area's name."""
        return self._blocks.name

    @property
    def nbytes(self) -> int:
        """The bytes that all arrays together can have."""
        return self._nbytes

    @property
    def used(self) -> int:
        """The bytes of all blocks. What was dropped elsewhere counts until the next :meth:`put` or
        :meth:`collect`."""
        self._own("get the usage of")
        return self._blocks.usage()[0]

    @property
    def blocks(self) -> int:
        """How many arrays lie in it."""
        self._own("get the usage of")
        return self._blocks.usage()[3]

    def collect(self) -> int:
        """Looks now for blocks that no process holds any more, and frees them; how many blocks are
        left.

        Raises:
            Closed: The slab was closed.
            InvalidInput: Another process made it.
        """
        self._own("collect")
        _release()
        self._blocks.collect()
        return self._blocks.usage()[3]

    def close(self) -> None:
        """Hands out no more blocks. Arrays stay valid: the memory, and its name, go with the last
        of them. May be called twice."""
        self._closed = True
        _release()

    def __enter__(self) -> Slab:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        if self._closed:
            state = "closed"
        elif self._pid != os.getpid():
            state = f"of process {self._pid}"
        else:
            state = f"{self.blocks} blocks, {self.used} of {self.nbytes} bytes"
        return f"<areas.Slab {self.name!r}: {state}>"


class _Outbox:
    """What this process has sent and no process has opened yet: a word each, which the receiver
    clears."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.holding = _areas.create(8 * _TICKETS, name=b"areas: on the way")
        self.where = (self.holding.id or 0, self.holding.inode)
        self._words = memoryview(self.holding.lease(True)).cast("Q")
        self._serial = 0
        self._free = deque(range(_TICKETS))
        #: By ticket: what is kept.
        self._kept: dict[int, Memory] = {}
        #: How many there may be before it is looked which have come.
        self._look_at = 64
        # (Memory can go while its own thread is in here.)
        self._guard = threading.RLock()

    def keep(self, memory: Memory) -> tuple[int, int]:
        """Keeps memory until it is said to have come; the ticket and its number."""
        with self._guard:
            self.collect(always=False)
            if not self._free:
                self.collect()
            if not self._free:
                raise Limit(
                    f"cannot pickle an array in a slab: {_TICKETS} are on their way, and no process has opened them",
                    remedy="send as much as is received; an array of a slab is pickled to be opened elsewhere, once",
                )
            ticket = self._free.popleft()
            self._serial += 1
            self._words[ticket] = self._serial
            self._kept[ticket] = memory
            return ticket, self._serial

    def collect(self, *, always: bool = True) -> None:
        """Releases what has come; unless ``always``, only where there is little to look at, or much
        has come since."""
        with self._guard:
            if not always and len(self._kept) > self._look_at:
                return
            come = [ticket for ticket in self._kept if not self._words[ticket]]
            gone = [self._kept.pop(ticket) for ticket in come]
            self._free.extend(come)
            # Where many are on their way, not all are looked at each time.
            self._look_at = max(64, 2 * len(self._kept))
        del gone


def _release(*, always: bool = True) -> None:
    """Releases what this process has sent and others have."""
    if _outbox is not None and _outbox.pid == os.getpid():
        _outbox.collect(always=always)


def _sender() -> _Outbox:
    """This process's outbox."""
    global _outbox
    if _outbox is None or _outbox.pid != os.getpid():
        _outbox = _Outbox()
    return _outbox


def describe(memory: Memory) -> tuple[Any, ...]:
    """The handle of a block, which this process keeps until it is opened elsewhere: the machine,
    the block, and what to clear then."""
    outbox = _sender()
    return *_machine(), memory.handle, outbox.pid, *outbox.where, *outbox.keep(memory)


def reduce(array: np.ndarray[Any, Any], memory: Memory) -> Any:
    """How an array in a slab pickles."""
    offset = _areas.address_of(array) - memory.address
    strides = None if array.flags.c_contiguous else array.strides
    return _open, (describe(memory), array.dtype, array.shape, offset, strides, bool(array.flags.writeable))


def _open(handle: Any, dtype: Any, shape: Any, offset: Any, strides: Any, write: Any) -> AreaArray:
    """Opens a handle of an array: what unpickling calls. That the array lies in its block NumPy
    checks."""
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
        HolderGone: No process holds it any more.
        OtherMachine, OtherPidNamespace: It is from elsewhere.
        InvalidInput: It is not a handle.
    """
    numbers = handle[3:]
    if (
        len(handle) != 8
        or not (isinstance(handle[0], bytes) and isinstance(handle[2], bytes))
        or not all(isinstance(part, int) for part in (handle[1], *numbers))
    ):
        raise InvalidInput("cannot open a handle of an array in a slab: it is none", remedy="use one version of `areas` in all processes")
    boot, namespace, block, pid, area, inode, ticket, serial = handle
    _is_here(boot, namespace, pid)
    try:
        memory = _areas.open_block(block)
    except NotFound as error:
        raise HolderGone(
            f"cannot open a handle of an array in a slab, which process {pid} has sent: its block was freed, or the slab's process is gone; {error}",
            remedy="hold the array until the other side has opened the handle; a handle that was opened once holds nothing",
        ) from None
    except Limit as error:
        raise Limit(
            f"cannot open a handle of an array in a slab, which process {pid} has sent; {error}",
            remedy="make the slab for more processes: `areas.Slab(name, size, readers=…)`; or end one that has arrays of it",
        ) from None
    _clear((pid, area, inode), ticket, serial)
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


#: The outboxes of others that are mapped here.
_outboxes: dict[tuple[int, int, int], tuple[Holding, memoryview]] = {}
_opening = threading.RLock()
_outbox: _Outbox | None = None


def _lives(pid: int) -> bool:
    return os.path.exists(f"/proc/{pid}")


def _clear(sender: tuple[int, int, int], ticket: int, serial: int) -> None:
    """Says to who sent it that it has come."""
    if sender[0] == os.getpid() and _outbox is not None and sender[1:] == _outbox.where:
        words = _outbox._words
    else:
        with _opening:
            known = _outboxes.get(sender)
            if known is None:
                for other in [other for other in _outboxes if not _lives(other[0])]:
                    del _outboxes[other]
                    # Workers come and go: their tables are not to stay mapped, either.
                    _areas.forget_dead(other[1])
                try:
                    pid, area, inode = sender
                    holding = _areas.open_located(pid, area, inode, True, False)
                except (NotFound, OverflowError):
                    # The sender is gone, and keeps nothing; or it is none.
                    return
                known = _outboxes[sender] = holding, memoryview(holding.lease(True)).cast("Q")
        words = known[1]
    if 0 <= ticket < len(words) and words[ticket] == serial:
        words[ticket] = 0


def _before_fork() -> None:
    _opening.acquire()
    why = _areas.before_fork()
    if why is not None:
        warnings.warn(
            f"a forked child has no part of its own in an areas.Slab, so the blocks that are in use now stay so permanently: {why}"
            " (make the slab with more `readers`)",
            RuntimeWarning,
            stacklevel=2,
        )


def _after_in_parent() -> None:
    _areas.after_fork_in_parent()
    _opening.release()


def _after_in_child() -> None:
    global _opening, _outbox
    _areas.after_fork_in_child()
    # What is on its way was sent by the parent.
    _outbox = None
    _opening = threading.RLock()


os.register_at_fork(before=_before_fork, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
