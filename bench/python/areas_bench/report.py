"""Tables for a person, JSON for a program."""

from __future__ import annotations

import dataclasses
from typing import Any

from .outcome import Compared, Number, Outcome, Skipped

Rows = dict[str, tuple[str, list[Outcome]]]
"""By the row's name: what it measures, and its outcomes."""


def markdown(rows: Rows, machine: dict[str, Any], smoke: bool) -> str:
    """The report as docs/benchmarks.md has it."""
    text = "**A smoke run: the numbers mean nothing.**\n\n" if smoke else ""
    text += _machine(machine) + "\n\n"
    text += (
        "Ratios are ours / the peer's time, the median of pairs measured one right after the other, with "
        "quartiles; below 1 is faster.\n\n" + summary(rows, smoke) + "\n"
    )
    for name, (what, outcomes) in rows.items():
        text += f"\n### {name}: {what}\n"
        text += _table(
            "| case | ours | against | ratio | quartiles | ours | peer | target | |\n"
            "|---|---|---|--:|--:|--:|--:|--:|---|\n",
            [_compared(one) for one in outcomes if isinstance(one, Compared)],
        )
        text += _table(
            "| case | value | quartiles | target | |\n|---|--:|--:|--:|---|\n",
            [_number(one) for one in outcomes if isinstance(one, Number)],
        )
        for one in outcomes:
            if isinstance(one, Skipped):
                text += f"\nSKIPPED: {one.case}: {one.why}\n"
    return text


def in_short(name: str, one: Outcome) -> str:
    """A line for a terminal."""
    match one:
        case Compared():
            pair = one.pair
            return (
                f"{name:<10} {one.case:<44} {one.peer:<34} {ratio(pair.ratio.median):>7}  "
                f"{seconds(pair.ours.median):>9} {seconds(pair.peer.median):>9}  {_verdict(one)}"
            )
        case Number():
            return f"{name:<10} {one.case:<79} {one.value.median:>7.4g} {one.unit:<3}  {_verdict(one)}"
        case Skipped():
            return f"{name:<10} {one.case}: SKIPPED: {one.why}"


def summary(rows: Rows, smoke: bool) -> str:
    """How many targets were met, and which were not."""
    if smoke:
        return "A smoke run: every row ran, the numbers mean nothing."
    aimed = [
        (name, one)
        for name, (_, outcomes) in rows.items()
        for one in outcomes
        if not isinstance(one, Skipped) and one.met() is not None
    ]
    missed = [f"{name} ({one.case})" for name, one in aimed if not one.met()]
    text = f"{len(aimed) - len(missed)} of {len(aimed)} targets met."
    return text + (f" Missed: {'; '.join(missed)}." if missed else "")


def as_json(rows: Rows, machine: dict[str, Any], smoke: bool) -> dict[str, Any]:
    """Everything, times in seconds."""
    return {
        "schema": 1,
        "smoke": smoke,
        "machine": machine,
        "rows": [
            {"name": name, "what": what, "outcomes": [_plain(one) for one in outcomes]}
            for name, (what, outcomes) in rows.items()
        ],
    }


def _plain(one: Outcome) -> dict[str, Any]:
    met = {} if isinstance(one, Skipped) else {"met": one.met()}
    return {"kind": type(one).__name__.lower(), **dataclasses.asdict(one), **met}


def _machine(machine: dict[str, Any]) -> str:
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    return (
        f"{machine['cpu']}, {machine['cpus']} CPUs{' of a virtual machine' if machine['virtual_machine'] else ''}; "
        f"{machine['memory_mib']} MiB; Linux {machine['kernel']}; Python {machine['python']}; {packages}; "
        f"load {machine['load_before']} before, {machine['load_after']} after. "
        f"The run took {machine['seconds']:.0f} s."
    )


def _table(head: str, lines: list[str]) -> str:
    return "\n" + head + "".join(lines) if lines else ""


def _compared(one: Compared) -> str:
    pair = one.pair
    target = "" if one.target is None else f"≤ {one.target:g}"
    return (
        f"| {one.case} | {one.ours} | {one.peer} | {ratio(pair.ratio.median)} | "
        f"{ratio(pair.ratio.low)}–{ratio(pair.ratio.high)} | {seconds(pair.ours.median)} | "
        f"{seconds(pair.peer.median)} | {target} | {_verdict(one, bold=True)} |\n"
    )


def _number(one: Number) -> str:
    value = one.value
    target = "" if one.target is None else f"≤ {one.target:g} {one.unit}"
    return (
        f"| {one.case} | {value.median:.4g} {one.unit} | {value.low:.4g}–{value.high:.4g} | {target} | "
        f"{_verdict(one, bold=True)} |\n"
    )


def _verdict(one: Compared | Number, bold: bool = False) -> str:
    match one.met():
        case None:
            return ""
        case True:
            return "met"
        case False:
            return "**missed**" if bold else f"missed: at most {one.target:g}"


def ratio(value: float) -> str:
    """Two digits that matter."""
    return f"{value:.2f}" if value >= 0.095 else f"{value:.2g}"


def seconds(value: float) -> str:
    """Three digits, in a unit that fits."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if value >= scale:
            return f"{value / scale:.3g} {unit}"
    return f"{value * 1e9:.3g} ns"
