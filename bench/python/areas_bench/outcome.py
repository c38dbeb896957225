"""What a row returns: a comparison, a number, or why there is none."""

from __future__ import annotations

from dataclasses import dataclass

from .measure import Pair, Spread


@dataclass(frozen=True)
class Compared:
    """Ours beside a peer's. `target`: the ratio is to be at most this."""

    case: str
    ours: str
    peer: str
    pair: Pair
    target: float | None = None

    def met(self) -> bool | None:
        return None if self.target is None else self.pair.ratio.median <= self.target


@dataclass(frozen=True)
class Number:
    """A number that is ours alone, in `unit`."""

    case: str
    value: Spread
    unit: str
    target: float | None = None

    def met(self) -> bool | None:
        return None if self.target is None else self.value.median <= self.target


@dataclass(frozen=True)
class Skipped:
    """What did not run, and why."""

    case: str
    why: str


Outcome = Compared | Number | Skipped
