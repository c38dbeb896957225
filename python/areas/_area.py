"""Areas: making them, finding them, and what is done with one."""

from __future__ import annotations

import math
import operator
import os
from dataclasses import dataclass
from typing import Any, SupportsIndex

import numpy as np

from . import _areas
from ._areas import Holding, Memory
from ._array import AreaArray, over
from ._errors import Closed, InvalidInput

Shape = SupportsIndex | tuple[SupportsIndex, ...]


def _name(name: str | bytes) -> bytes:
    """A name as the library has it: bytes."""
    return os.fsencode(name) if isinstance(name, str) else bytes(name)


def _shape(shape: Any) -> tuple[int, ...]:
    """A shape as a tuple of ints, none of them negative."""
    try:
        if isinstance(shape, (tuple, list)):
            dims = tuple(operator.index(dim) for dim in shape)
        else:
            dims = (operator.index(shape),)
    except TypeError as error:
        raise InvalidInput(f"cannot read {shape!r} as a shape: {error}") from None
    if any(dim < 0 for dim in dims):
        raise InvalidInput(f"cannot make an array of shape {dims}: a dimension is negative")
    return dims


def _dtype(dtype: Any) -> np.dtype[Any]:
    """A dtype whose items are nothing but their bytes."""
    checked: np.dtype[Any] = np.dtype(dtype)
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


class Area:
    """A chunk of memory that this process holds, by a name or without one.

    It is made by :func:`areas.create`, :func:`areas.find` and their like. Arrays, memoryviews and capsules over its memory keep
    the memory, even after :meth:`close`.
    """

    __slots__ = ("_dtype", "_holding", "_name_at_close", "_shape", "__weakref__")

    def __init__(self, holding: Holding, shape: tuple[int, ...] | None = None, dtype: Any = "u1") -> None:
        self._holding: Holding | None = holding
        self._dtype: np.dtype[Any] = np.dtype(dtype)
        self._shape = shape if shape is not None else (holding.nbytes // self._dtype.itemsize,)

    def _held(self, what: str) -> Holding:
        if self._holding is None:
            raise Closed(f"cannot {what}: the area was closed", remedy="find it anew: `areas.find(name)`")
        return self._holding

    @property
    def memory(self) -> Memory:
        """A reference to its memory, for :func:`memoryview` and for whatever takes a buffer: bytes, one dimension."""
        return self._held("refer to memory").lease()

    @property
    def buf(self) -> memoryview:
        """Its bytes, as a memoryview: writable unless it was opened for reading, or is frozen."""
        return memoryview(self.memory)

    @property
    def array(self) -> AreaArray:
        """Its memory as a NumPy array of its shape and dtype: no copy."""
        return over(self._held("make an array").lease(), self._shape, self._dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of its array."""
        return self._shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of its array."""
        return self._dtype

    @property
    def nbytes(self) -> int:
        """Its bytes. One that can grow has whole pages."""
        return self._held("tell the size").nbytes

    @property
    def name(self) -> str | bytes | None:
        """Its name: text, or bytes where it is no text; ``None`` where it has none."""
        return self._held("tell the name").name

    @property
    def id(self) -> int | None:
        """Its id in the registry, or ``None`` where it is not published."""
        return self._held("tell the id").id

    @property
    def frozen(self) -> bool:
        """Whether no process can write it any more."""
        return self._held("tell whether it is frozen").frozen

    @property
    def readonly(self) -> bool:
        """Whether this process may not write it."""
        return self._held("tell whether it may be written").readonly

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._holding is None

    def freeze(self, timeout: float = 1.0) -> Area:
        """Makes it read-only for all processes, for good; the area itself.

        Waits up to ``timeout`` seconds for writers that are about to finish.

        Raises:
            Busy: somebody still can write it. The text names the processes; or says how many objects of this very process
                (arrays, views, memoryviews) can.
            Frozen: it is frozen already.
            ReadOnly: it was opened for reading.
        """
        self._held("freeze").freeze(timeout)
        return self

    def grow(self, shape: Shape) -> AreaArray:
        """Grows it to a shape, for all processes that have it; its array. The new bytes are zero.

        Raises:
            InvalidInput: it was not made with ``max_shape``, or not that large.
        """
        dims = _shape(shape)
        holding = self._held("grow")
        holding.grow(math.prod(dims) * self._dtype.itemsize)
        self._shape = dims
        return self.array

    def close(self) -> None:
        """Takes the name back, and drops this object's reference to the memory.

        Arrays, memoryviews and capsules over it stay valid: the memory goes with the last of them. May be called twice.
        """
        self._holding = None

    def unlink(self) -> None:
        """Takes the name back: nobody finds it by way of this process any more. The memory stays."""
        self.close()

    def __enter__(self) -> Area:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        array = self.array
        if dtype is not None and np.dtype(dtype) != array.dtype:
            if copy is False:
                raise ValueError("an array of another dtype takes a copy")
            return array.astype(dtype)
        return np.array(array) if copy else array

    def __len__(self) -> int:
        if not self._shape:
            raise TypeError("len() of an area without a dimension")
        return self._shape[0]


def _nbytes(shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
    nbytes = math.prod(shape) * dtype.itemsize
    if nbytes >= 1 << 63:
        raise InvalidInput(f"cannot make an array of shape {shape} and dtype {dtype}: it has {nbytes} bytes")
    return nbytes


def create(
    name: str | bytes | None = None,
    *,
    nbytes: int | None = None,
    shape: Shape | None = None,
    dtype: Any = None,
    max_shape: Shape | None = None,
    policy: str | None = None,
    nodes: str | None = None,
    home: int | None = None,
    huge: str | None = None,
    lock: str | None = None,
    populate: bool = False,
    dump: bool = True,
) -> Area:
    """Makes an area, zeroed; published under ``name`` once it is complete."""
    if (nbytes is None) == (shape is None):
        raise InvalidInput("cannot make an area: give either nbytes or shape")
    checked = _dtype("u1" if dtype is None else dtype)
    if shape is None:
        count, rest = divmod(operator.index(nbytes), checked.itemsize)  # type: ignore[arg-type]
        if rest or count < 0:
            raise InvalidInput(f"cannot make an area of {nbytes} bytes and dtype {checked}: not a whole number of items")
        dims: tuple[int, ...] = (count,)
    else:
        dims = _shape(shape)
    most = None if max_shape is None else _nbytes(_shape(max_shape), checked)
    holding = _areas.create(
        _nbytes(dims, checked),
        name=None if name is None else _name(name),
        max_nbytes=most,
        policy=policy,
        nodes=nodes,
        home=home,
        huge=huge,
        lock=lock,
        populate=populate,
        dump=dump,
    )
    return Area(holding, dims, checked)


def put(
    obj: Any,
    name: str | bytes | None = None,
    *,
    freeze: bool = True,
    policy: str | None = None,
    nodes: str | None = None,
    home: int | None = None,
    huge: str | None = None,
    lock: str | None = None,
) -> Area:
    """Copies an array or a buffer into a new area, frozen unless told otherwise."""
    array = np.asarray(obj)
    area = create(
        name, shape=array.shape, dtype=array.dtype, policy=policy, nodes=nodes, home=home, huge=huge, lock=lock
    )
    area.array[...] = array
    if freeze:
        area.freeze()
    return area


def find(name: str | bytes, *, write: bool = False, keep_name: bool = True) -> Area:
    """The oldest area of that name, for reading unless ``write``."""
    return Area(_areas.find(_name(name), write=write, keep_name=keep_name))


def wait(
    name: str | bytes, timeout: float | None = None, *, write: bool = False, keep_name: bool = True
) -> Area:
    """The same, once there is one; ``timeout`` in seconds, ``None`` waits for ever."""
    return Area(_areas.wait(_name(name), timeout, write=write, keep_name=keep_name))


@dataclass(frozen=True)
class AreaInfo:
    """What is known of a published area, at the moment of asking. It holds nothing."""

    #: Its id in the registry.
    id: int
    #: Its name.
    name: str | bytes
    #: The process that holds it.
    pid: int
    #: Its bytes.
    nbytes: int
    #: How far it may grow, in bytes; ``None`` where it may not.
    max_nbytes: int | None
    #: Whether its holder may write it.
    writable: bool
    #: ``none``, ``lazy``, ``full`` …
    lock: str
    #: What was asked of its place: ``interleave:0-3``.
    placement: str
    #: Bytes of the pages that it is made of.
    page_size: int


@dataclass(frozen=True)
class UnreadableProcess:
    """A process that has areas, and into which this one may not look."""

    pid: int
    command: str | None
    reason: str


class Listing(list[AreaInfo]):
    """All areas that can be seen, by process and address; and in ``unreadable`` the processes that cannot be looked into."""

    unreadable: list[UnreadableProcess]


def list_areas() -> Listing:
    """All areas that can be seen.

    Raises:
        RegistryError: the registry's folder is not as it must be.
    """
    areas, unreadable = _areas.list()
    listing = Listing(AreaInfo(**area) for area in areas)
    listing.unreadable = [UnreadableProcess(**process) for process in unreadable]
    return listing


@dataclass(frozen=True)
class NodeInfo:
    """A NUMA node of this machine."""

    #: Its number.
    node: int
    #: Whether this process may use it.
    allowed: bool


def nodes() -> list[NodeInfo]:
    """The machine's NUMA nodes."""
    return [NodeInfo(**node) for node in _areas.nodes()]
