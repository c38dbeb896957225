"""Two sides in turn: ours, the peer, the peer, ours, so that whatever else the machine does, it
does to both.

What counts is the ratio of two neighbours in time, and of many such ratios the median.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass

MAX_ROUNDS = 1_001


@dataclass(frozen=True)
class Spread:
    """A median with the quartiles around it."""

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> Spread:
        """Of at least one value; between two values in proportion."""
        ordered = sorted(values)

        def quantile(part: float) -> float:
            place = part * (len(ordered) - 1)
            below = int(place)
            above = min(below + 1, len(ordered) - 1)
            return ordered[below] + (ordered[above] - ordered[below]) * (place - below)

        return cls(quantile(0.25), quantile(0.5), quantile(0.75))


@dataclass(frozen=True)
class Plan:
    """How long a pair is compared. Times in seconds."""

    batch: float
    """The least that one batch takes, unless it does its work `most` times."""
    budget: float
    """For all rounds of one pair."""
    rounds: int
    """At least so many rounds, whatever they take."""
    most: int
    """A batch does its work at most so often."""


SHORT = Plan(batch=0.001, budget=2.0, rounds=51, most=1 << 16)
"""For work of microseconds. A batch is shorter than a time slice, so that most are not interrupted."""
LONG = Plan(batch=0.0, budget=6.0, rounds=5, most=1)
"""For work that is done once a batch."""
SMOKE = Plan(batch=0.0, budget=0.0, rounds=1, most=2)
"""To see whether it runs."""


@dataclass
class Side:
    """One way to do the work."""

    name: str
    work: Callable[[], float | None]
    """Does it once. Gives the seconds it took, where only a part of it is to be timed."""


@dataclass(frozen=True)
class Pair:
    """The result of a pair; times in seconds."""

    ratio: Spread
    ours: Spread
    peer: Spread
    rounds: int


def pair(ours: Side, peer: Side, plan: Plan) -> Pair:
    """Compares two sides."""
    our_times, peer_times = _warm(ours, plan), _warm(peer, plan)
    times: tuple[list[float], list[float]] = ([], [])
    start = time.perf_counter()
    while len(times[0]) < plan.rounds or (
        len(times[0]) < MAX_ROUNDS and time.perf_counter() - start < plan.budget
    ):
        # Both take turns at being first.
        if len(times[0]) % 2 == 0:
            a = _once(ours, our_times)
            b = _once(peer, peer_times)
        else:
            b = _once(peer, peer_times)
            a = _once(ours, our_times)
        times[0].append(a)
        times[1].append(b)
    return Pair(
        ratio=Spread.of([a / b for a, b in zip(*times, strict=True)]),
        ours=Spread.of(times[0]),
        peer=Spread.of(times[1]),
        rounds=len(times[0]),
    )


def alone(side: Side, plan: Plan) -> Spread:
    """The times of one side, in seconds."""
    times = _warm(side, plan)
    return Spread.of([_once(side, times) for _ in range(plan.rounds)])


def _warm(side: Side, plan: Plan) -> int:
    """Does it until it is warm, and finds how often it fits into a batch."""
    times = 1
    while True:
        took = _once(side, times) * times
        if took >= plan.batch or times >= plan.most:
            return times
        grown = times * min(max(plan.batch / max(took, 1e-9) * 1.2, 2.0), 10.0)
        times = min(int(grown) + 1, plan.most)


def _once(side: Side, times: int) -> float:
    """Seconds a time. The garbage collector runs before, and not within."""
    work = side.work
    gc.collect(0)
    gc.disable()
    try:
        inside = 0.0
        start = time.perf_counter()
        for _ in range(times):
            inside += work() or 0.0
        outside = time.perf_counter() - start
    finally:
        gc.enable()
    return max(inside or outside, 1e-9) / times
