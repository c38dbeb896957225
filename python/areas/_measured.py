"""What was measured: where pages are, whether they are where they were asked to be, what was moved,
which processes have them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Run:
    """Neighbouring bytes that are in the same place: bytes ``start`` to ``stop`` of the area, whole
    pages."""

    start: int
    stop: int
    #: ``node`` (in RAM, on that node), ``ram`` (in RAM; which node is not reported), ``swapped``, or ``absent`` (never touched).
    place: str
    #: The NUMA node, or ``None``.
    node: int | None
    #: Bytes of the pages that it is mapped with, or ``None``.
    page_size: int | None


@dataclass(frozen=True)
class Residency:
    """Where the pages of an area are, measured by asking the kernel. All numbers are bytes of whole
    pages."""

    #: How many bytes were looked at.
    size: int
    #: Bytes in RAM.
    resident: int
    #: Bytes in RAM by NUMA node.
    nodes: dict[int, int]
    #: Bytes in RAM on an unknown node.
    node_unknown: int
    #: Whether it is known of each page which node it is on.
    knows_pages: bool
    #: Bytes in RAM by the size of their page; ``None`` where the kernel does not report it.
    page_sizes: dict[int, int] | None
    #: Bytes that are swapped out; ``None`` where the kernel does not report it.
    swapped: int | None
    #: Bytes that take no memory yet.
    absent: int
    #: All of it in order.
    runs: list[Run]
    _text: str

    def __str__(self) -> str:
        return self._text


@dataclass(frozen=True)
class Misplaced:
    """Bytes ``start`` to ``stop`` that are on a node where they were not asked to be."""

    start: int
    stop: int
    node: int
    #: The nodes that were asked for: ``0-3,8``.
    asked: str


@dataclass(frozen=True)
class Verification:
    """Whether pages are where they were asked to be. It is true where nothing is out of place.
    Numbers are bytes."""

    #: Whether nothing is out of place.
    holds: bool
    in_place: int
    elsewhere: int
    not_in_ram: int
    #: The share of what is in RAM that is in place: 0 to 1.
    share: float
    misplaced: list[Misplaced]
    _text: str

    def __bool__(self) -> bool:
        return self.holds

    def __str__(self) -> str:
        return self._text


@dataclass(frozen=True)
class UnmovedRange:
    """Bytes ``start`` to ``stop`` that would not move to a node, and why."""

    start: int
    stop: int
    target: int
    why: str


@dataclass(frozen=True)
class Migration:
    """What was moved, in bytes, and what was not."""

    moved: int
    stayed: list[UnmovedRange]
    #: Whether new pages come from the new place now.
    placed: bool
    verification: Verification
    _text: str

    def __str__(self) -> str:
        return self._text


@dataclass(frozen=True)
class Fallback:
    """What was given instead of what was asked first, and why. Only where the caller allowed it."""

    asked: str
    given: str
    because: str


@dataclass(frozen=True)
class Granted:
    """What an area was actually given."""

    #: Bytes in whole pages.
    mapped: int
    #: Bytes of addresses taken, what it may grow into included.
    span: int
    #: Bytes of the pages that it is mapped with.
    page_size: int
    #: Bytes that were collapsed into transparent huge pages.
    huge: int
    fallbacks: list[Fallback]


@dataclass(frozen=True)
class Holder:
    """A process that has an area's memory: mapped, or as an open descriptor, which keeps it alive
    just as well."""

    pid: int
    command: str | None
    #: What it may do through its mappings (``read``, ``read+write``), or ``None`` where it has none.
    mapped: str | None
    #: How many descriptors of it it has open.
    descriptors: int


def residency(reported: dict[str, Any]) -> Residency:
    runs = [Run(*run) for run in reported.pop("runs")]
    return Residency(runs=runs, _text=reported.pop("text"), **reported)


def verification(reported: dict[str, Any]) -> Verification:
    misplaced = [Misplaced(*part) for part in reported.pop("misplaced")]
    return Verification(misplaced=misplaced, _text=reported.pop("text"), **reported)


def migration(reported: dict[str, Any]) -> Migration:
    stayed = [UnmovedRange(*part) for part in reported.pop("stayed")]
    return Migration(
        moved=reported["moved"],
        stayed=stayed,
        placed=reported["placed"],
        verification=verification(reported["verification"]),
        _text=reported["text"],
    )


def granted(reported: dict[str, Any]) -> Granted:
    fallbacks = [Fallback(*fallback) for fallback in reported.pop("fallbacks")]
    return Granted(fallbacks=fallbacks, **reported)
