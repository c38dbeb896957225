"""What is there: all areas that can be seen, and the machine's nodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import _areas

if TYPE_CHECKING:
    import numpy as np

    from . import _notes


@dataclass(frozen=True)
class AreaInfo:
    """What is known of a published area, at the moment of asking. It holds nothing."""

    #: Its id in the registry.
    id: int
    #: Its name: text, or bytes where it is not text.
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
    #: What its holder noted beside it, as it stands there: another process's word.
    note: bytes

    @property
    def shape(self) -> tuple[int, ...] | None:
        """The shape of its array, by its note; ``None`` where that has none, or one that cannot
        be."""
        noted = self._noted()
        return None if noted is None else noted.shape

    @property
    def dtype(self) -> np.dtype[Any] | None:
        """The dtype of its array, by its note; ``None`` as for :attr:`shape`."""
        noted = self._noted()
        return None if noted is None else noted.dtype

    def _noted(self) -> _notes.Note | None:
        from . import _notes

        try:
            return _notes.decode(self.note, self.nbytes)
        except _notes.Malformed:
            return None


@dataclass(frozen=True)
class UnreadableProcess:
    """A process that has areas, and into which this one may not look."""

    pid: int
    command: str | None
    #: Why, for people.
    reason: str


class Listing(list[AreaInfo]):
    """All areas that can be seen, by process and address; and in ``unreadable`` the processes that
    cannot be looked into."""

    unreadable: list[UnreadableProcess]


def list_areas() -> Listing:
    """All published areas that can be seen: one entry for each process that holds one.

    Raises:
        RegistryError: The registry's folder is not as it must be.
    """
    areas, unreadable = _areas.list()
    listing = Listing(AreaInfo(**area) for area in areas)
    listing.unreadable = [UnreadableProcess(**process) for process in unreadable]
    return listing


@dataclass(frozen=True)
class NodeInfo:
    """A NUMA node of this machine. Sizes are bytes, at the moment of asking; what the kernel does
    not report is ``None``."""

    #: Its number.
    node: int
    #: Whether this process may use it.
    allowed: bool
    online: bool
    #: Its CPUs, as the kernel writes them: ``0-15,32``.
    cpus: str
    #: All of its memory.
    total: int | None
    #: What is free.
    free: int | None
    #: What is free, and what the kernel could give up without swapping.
    available: int | None
    #: How far the other nodes' memory is: 10 is local.
    distances: dict[int, int]


def nodes() -> list[NodeInfo]:
    """The machine's NUMA nodes."""
    return [NodeInfo(**node) for node in _areas.nodes()]
