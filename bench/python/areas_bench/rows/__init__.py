"""The rows, in the order in which they run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .. import measure
from ..measure import Plan
from ..outcome import Outcome

GIB = 1 << 30


@dataclass(frozen=True)
class Context:
    """How large and how long."""

    smoke: bool

    @property
    def short(self) -> Plan:
        return measure.SMOKE if self.smoke else measure.SHORT

    @property
    def long(self) -> Plan:
        return measure.SMOKE if self.smoke else measure.LONG

    @property
    def large(self) -> int:
        """Bytes of a large array: 1 GiB."""
        return 1 << 20 if self.smoke else GIB

    @property
    def large_name(self) -> str:
        return "1 MiB" if self.smoke else "1 GiB"


@dataclass(frozen=True)
class Row:
    """A subject; `run` yields its outcomes as they come."""

    name: str
    what: str
    run: Callable[[Context], Iterator[Outcome]]


from . import fill, importing, jobs, pipeline, segments, windows, worker  # noqa: E402

ROWS = [
    Row("create", "make an area under a name, close it", segments.create),
    Row("attach", "open what another process made, close it", segments.attach),
    Row("worker", "give an array to a spawned worker, which reads its last byte", worker.run),
    Row("windows", "make an array, have another MPI process read its last byte, free it", windows.run),
    Row("fill", "make an area, and write all of it for the first time", fill.run),
    Row("joblib", "two tasks over one large array in joblib's workers", jobs.run),
    Row("import", "import areas, where numpy is imported already", importing.run),
    Row("pipeline", "four workers make batches, one process reads them", pipeline.run),
]
