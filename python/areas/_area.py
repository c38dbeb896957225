"""Areas: what is done with one."""

from __future__ import annotations

import math
import operator
from typing import TYPE_CHECKING, Any, SupportsIndex, TypeAlias

import numpy as np

from . import _handles, _notes
from ._areas import Base, Holding, Memory
from ._array import AreaArray, over
from ._errors import Closed, InvalidInput
from ._known import BYTES, known
from ._progress import Progress, reporting

if TYPE_CHECKING:
    import socket

    from . import _measured

#: A dimension, or several.
Shape: TypeAlias = "SupportsIndex | tuple[SupportsIndex, ...] | list[SupportsIndex]"


def shape_of(shape: Any) -> tuple[int, ...]:
    """A shape as a tuple of ints, none of them negative."""
    try:
        if isinstance(shape, (tuple, list)):
            dims = tuple(map(operator.index, shape))
        else:
            dims = (operator.index(shape),)
    except TypeError as error:
        raise InvalidInput(f"cannot read {shape!r} as a shape: {error}") from None
    if dims and min(dims) < 0:
        raise InvalidInput(f"cannot make an array of shape {dims}: a dimension is negative")
    return dims


def dtype_of(dtype: Any) -> np.dtype[Any]:
    """A dtype whose items are nothing but their bytes."""
    try:
        checked: np.dtype[Any] = np.dtype(dtype)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"cannot read {dtype!r} as a dtype: {error}") from None
    if checked.hasobject:
        raise InvalidInput(
            f"cannot share an array of dtype {checked}: its items are Python objects, which only this process has",
            remedy="use a dtype of numbers, bytes or fixed-size strings; or pickle the objects into bytes",
        )
    if checked.itemsize == 0:
        raise InvalidInput(
            f"cannot share an array of dtype {checked}: its items have no bytes",
            remedy="give the length: `S10`, `U10`, `V10`",
        )
    return checked


def nbytes_of(shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
    """The bytes of an array: Python's ints do not overflow, addresses do."""
    nbytes = math.prod(shape) * dtype.itemsize
    if nbytes >= 1 << 63:
        raise InvalidInput(
            f"cannot make an array of shape {shape} and dtype {dtype}: it would have {nbytes} bytes, more than there are addresses"
        )
    return nbytes


class Area(Base):
    """A chunk of memory that this process holds, by a name or without one.

    It is made by :func:`areas.create`, :func:`areas.put`, :func:`areas.find` and their like.
    Arrays, memoryviews and capsules over its memory keep the memory, even after :meth:`close`; the
    memory goes when no process has any of them.

    It pickles as a handle, as its arrays do: who unpickles it holds the same memory.
    """

    # What it is made of, `close` and the context manager are the base's: one call of the extension
    # each.
    __slots__ = ()

    def _held(self, what: str) -> Holding:
        holding = self._holding
        if holding is None:
            raise Closed(
                f"cannot {what}: the area was closed",
                remedy="find it again (`areas.find(name)`), or use what was made of it before: arrays stay",
            )
        return holding

    # What it lends.

    @property
    def memory(self) -> Memory:
        """A reference to its memory: exports the buffer protocol, one dimension of bytes.

        :func:`memoryview`, :func:`numpy.frombuffer` and whatever takes a buffer take it.
        """
        return self._held("refer to memory").lease()

    @property
    def buf(self) -> memoryview:
        """Its bytes, as a memoryview: writable unless it was opened for reading, or is frozen."""
        return memoryview(self.memory)

    @property
    def array(self) -> AreaArray:
        """Its memory as an array of its shape and dtype: no copy.

        Read-only where the area was opened for reading, or is frozen. As long as the array, or a
        view of it, lives, the memory does; and as long as one lives that may be written, the area
        cannot be frozen.
        """
        return over(self._held("make an array").lease(), self.shape, self.dtype)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        array = self.array
        if dtype is not None and np.dtype(dtype) != array.dtype:
            if copy is False:
                raise ValueError("an array of another dtype takes a copy")
            return array.astype(dtype)
        return np.array(array) if copy else array

    @property
    def __array_interface__(self) -> dict[str, Any]:
        """NumPy's array interface, version 3. Its data is a reference to the memory, not an
        address: who takes it keeps it."""
        described = np.ndarray((0,), self.dtype).__array_interface__
        return {
            "version": 3,
            "shape": self.shape,
            "typestr": described["typestr"],
            "descr": described["descr"],
            "data": self.memory,
            "strides": None,
        }

    def __buffer__(self, flags: int, /) -> memoryview:
        """Its bytes, for :class:`memoryview` from Python 3.12 on (PEP 688)."""
        return memoryview(self.memory)

    # What it is.

    @property
    def nbytes(self) -> int:
        """Its bytes. One that can grow has whole pages."""
        return self._held("get the size").nbytes

    @property
    def max_nbytes(self) -> int | None:
        """How far it may grow, in bytes; ``None`` where it may not."""
        return self._held("get the size").max_nbytes

    @property
    def name(self) -> str | bytes | None:
        """Its name: text, or bytes where it is not text; ``None`` where it has none."""
        return self._held("get the name").name

    @property
    def id(self) -> int | None:
        """Its id in the registry, or ``None`` where it is not published. A forked child has another
        one."""
        return self._held("get the id").id

    @property
    def frozen(self) -> bool:
        """Whether no process can write it any more."""
        return self._held("check whether it is frozen").frozen

    @property
    def readonly(self) -> bool:
        """Whether this process may not write it through this area."""
        return self._held("check whether it may be written").readonly

    @property
    def placement(self) -> str:
        """What was asked of its place: ``interleave:0-3``. Where it is, :meth:`residency`
        measures."""
        return self._held("get the placement").placement

    @property
    def lock(self) -> str:
        """Its lock, as was asked: ``none``, ``lazy``, ``full`` …"""
        return self._held("get the lock").lock

    @property
    def note(self) -> str | None:
        """A text for who finds it by way of this process, or ``None``. It can be set: some 200
        bytes.

        (The note of the library, in which dtype and shape are too, is what :func:`areas.list`
        gives.)
        """
        self._held("get the note")
        return self._text

    @note.setter
    def note(self, text: str | None) -> None:
        holding = self._held("note something")
        holding.set_note(_notes.encode(self.dtype, self.shape, text))
        self._set_text(text)

    @property
    def granted(self) -> _measured.Granted:
        """What it was actually given: page size, addresses, and what differs from what was asked,
        where that was allowed."""
        from . import _measured

        return _measured.granted(self._held("get what was granted").granted)

    # What is done with it.

    def freeze(self, timeout: float = 1.0) -> Area:
        """Makes it read-only for all processes, root included, for good. The area itself.

        Arrays made from now on are read-only.

        Args:
            timeout: Seconds to wait for writers that are about to finish.

        Raises:
            Busy: It can still be written. The text names the processes; or says how many objects of
                this very process (arrays, views, memoryviews) can. The area is as it was.
            Frozen: It is frozen already.
            ReadOnly: It was opened for reading.
        """
        self._held("freeze").freeze(timeout)
        return self

    def grow(self, shape: Shape) -> AreaArray:
        """Grows it to a shape, for all processes that have it; its array. The new bytes are zero.

        Other processes that have it call this too, with the same shape, to have an array of it;
        theirs grow nothing then. Arrays that exist stay as they are. A shape of fewer bytes leaves
        the memory as it is.

        Raises:
            InvalidInput: It was not made with ``max_shape``, or not that large.
            ReadOnly: It was opened for reading, and is smaller.
        """
        dims = shape_of(shape)
        holding = self._held("grow")
        nbytes = nbytes_of(dims, self.dtype)
        if nbytes > holding.nbytes:
            holding.grow(nbytes)
        if dims != self.shape:
            # For who finds it from now on.
            holding.set_note(_notes.encode(self.dtype, dims, self._text))
        self._set_shape(dims)
        return self.array

    def populate(self, progress: Progress = None) -> None:
        """Brings all of its pages into RAM, in parallel, where they were asked to be.

        Args:
            progress: ``True`` for a bar, or a function of bytes done and bytes in all. What it
                raises, and Ctrl-C, ends the call; pages that are in stay.

        Raises:
            NoMemory: Nodes, machine or control group do not have that much.
        """
        with reporting(progress, "populate") as report:
            self._held("populate").populate(report)

    def residency(self) -> _measured.Residency:
        """Measures where each of its pages is, by asking the kernel. Brings nothing into RAM."""
        from . import _measured

        return _measured.residency(self._held("measure").residency())

    def verify(self) -> _measured.Verification:
        """Measures whether its pages are where they were asked to be; true where they are.

        Raises:
            NotPermitted: A sandbox hides which node pages are on.
        """
        from . import _measured

        return _measured.verification(self._held("verify").verify())

    def move(
        self,
        nodes: str | None = None,
        *,
        policy: str | None = None,
        home: int | None = None,
        progress: Progress = None,
    ) -> _measured.Migration:
        """Changes its placement, and moves the pages that are elsewhere. What would not move is
        reported, with the reason.

        Args:
            nodes: NUMA nodes, ``"0-3,8"`` or ``"all"``.
            policy: ``bind`` (without it), ``preferred``, ``preferred-many``, ``interleave``,
                ``weighted-interleave``, ``local``, ``default``.
            home: The node from which free pages are looked for.
            progress: As for :meth:`populate`.

        Raises:
            NodeNotAllowed: This process may not use a node.
        """
        with reporting(progress, "move") as report:
            from . import _measured

            return _measured.migration(self._held("move").move(policy, nodes, home, report))

    def holders(self) -> list[_measured.Holder]:
        """The processes that have its memory, mapped or as a descriptor: those that this one may
        look into."""
        from . import _measured

        return [_measured.Holder(*holder) for holder in self._held("list its holders").holders()]

    def unlink(self) -> None:
        """Withdraws the name: it is not found by way of this process any more. This object, and the
        memory, stay."""
        self._held("unpublish").withdraw()

    def retire(self) -> None:
        """Marks the memory itself: it is not found any more, by any process that holds it. Its
        holders keep it.

        Raises:
            ReadOnly: It was opened for reading.
        """
        self._held("retire").retire()

    def __dlpack__(self, **how: Any) -> Any:
        """A DLPack capsule over its memory, read-only where it is: keeps the memory until it, or
        what took it, is gone.

        ``stream``, ``max_version``, ``dl_device``, ``copy``: as the array API standard has them.
        NumPy answers.
        """
        # (Older ones do not know all words; those that ask for nothing are left out.)
        asked = {word: value for word, value in how.items() if value is not None}
        return self.array.view(np.ndarray).__dlpack__(**asked)

    def __dlpack_device__(self) -> tuple[int, int]:
        """DLPack's word for the CPU's memory."""
        return 1, 0

    def to_arrow(self) -> Any:
        """Its array as an Arrow array over the same memory: see :func:`areas.arrow.to_arrow`. Needs
        pyarrow."""
        from .arrow import to_arrow

        return to_arrow(self)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("an area of shape () has no length")
        return self.shape[0]

    # What a person sees.

    def __repr__(self) -> str:
        from . import _show

        return _show.one_line(self)

    def _repr_html_(self) -> str:
        from . import _show

        return _show.table(self)

    def show(self, width: int = 64) -> Any:
        """Draws which node its pages are on: a figure where matplotlib is installed, else text on
        standard output.

        Args:
            width: Cells in a row. There are 16 rows.

        Returns:
            The ``matplotlib`` figure, or ``None`` where it was text.
        """
        try:
            from . import _show

            return _show.figure(self, width)
        except ImportError:
            print(_show.text(self, width))
            return None

    # How it goes to other processes.

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _handles.reduce_area(self)

    def __reduce__(self) -> Any:
        return _handles.reduce_area(self)

    def __copy__(self) -> Any:
        raise TypeError("an area is not copied: `areas.put(a.array)` copies its bytes into a new one")

    def __deepcopy__(self, memo: Any) -> Any:
        return self.__copy__()

    def _send(self, sock: socket.socket, read_only: bool) -> None:
        self._held("send").send(sock.fileno(), read_only)


def of_note(holding: Holding, verb: str, dtype: Any = None, shape: Any = None, name: Any = None) -> Area:
    """The area of what was found, with dtype and shape of its note, where they are not given."""
    if shape is not None or dtype is not None:
        return _with(holding, verb, dtype, shape, name)
    try:
        note = _notes.decode(holding.note, holding.nbytes)
    except _notes.Malformed as error:
        what = verb if name is None else f"{verb} {name!r}"
        raise InvalidInput(
            f"cannot {what}: its note describes no array: {error}",
            remedy="say what it is: `areas.find(name, dtype=…, shape=…)`; `dtype='u1'` gives its bytes",
        ) from None
    if note is None:
        return Area(holding, (holding.nbytes,), BYTES, None)
    if note.text is None:
        known(note.dtype.str, note.dtype)
    return Area(holding, note.shape, note.dtype, note.text)


def _with(holding: Holding, verb: str, dtype: Any, shape: Any, name: Any) -> Area:
    checked = dtype_of("u1" if dtype is None else dtype)
    dims = (holding.nbytes // checked.itemsize,) if shape is None else shape_of(shape)
    wanted = nbytes_of(dims, checked)
    if wanted > holding.nbytes:
        what = verb if name is None else f"{verb} {name!r}"
        raise InvalidInput(
            f"cannot {what}: an array of shape {dims} and dtype {checked} has {wanted} bytes, and the area has {holding.nbytes}"
        )
    return Area(holding, dims, checked, None)
