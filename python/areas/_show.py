"""What a person sees of an area: one line, a table in a notebook, and a map of its pages by
node."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

from ._errors import Error
from ._measured import Residency

if TYPE_CHECKING:
    from ._area import Area

#: Letters for nodes in a map of text.
_LETTERS = "0123456789abcdefghijklmnopqrstuvwxyz"


def size(nbytes: int) -> str:
    """Bytes as a person reads them: ``1.5 MiB``."""
    for factor, unit in ((1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if nbytes >= factor:
            return f"{nbytes / factor:.4g} {unit}"
    return f"{nbytes} B"


def _name(area: Area) -> str:
    return "without a name" if area.name is None else repr(area.name)


def _access(area: Area) -> str:
    return "frozen" if area.frozen else "read-only" if area.readonly else "writable"


def one_line(area: Area) -> str:
    """``<areas.Area 'frames': (1000, 1080, 1920) uint8, 1.931 GiB, writable>``"""
    if area.closed:
        return "<areas.Area, closed>"
    dims = "x".join(map(str, area.shape)) or "scalar"
    return f"<areas.Area {_name(area)}: {dims} {area.dtype}, {size(area.nbytes)}, {_access(area)}>"


def table(area: Area) -> str:
    """The same as a table of HTML, with where its pages are."""
    if area.closed:
        return "<code>&lt;areas.Area, closed&gt;</code>"
    rows = [
        ("name", _name(area)),
        ("array", f"{area.shape} {area.dtype}"),
        ("size", size(area.nbytes)),
        ("access", _access(area)),
        ("placement", area.placement),
        ("lock", area.lock),
    ]
    try:
        measured = area.residency()
    except Error as error:
        rows.append(("in RAM", str(error)))
    else:
        nodes = ", ".join(f"node {node}: {size(nbytes)}" for node, nbytes in measured.nodes.items())
        rows.append(("in RAM", f"{size(measured.resident)} of {size(measured.size)}" + (f" ({nodes})" if nodes else "")))
    cells = "".join(f"<tr><th>{html.escape(key)}</th><td>{html.escape(value)}</td></tr>" for key, value in rows)
    return f"<table><caption>areas.Area</caption>{cells}</table>"


def cells(measured: Residency, count: int) -> list[str]:
    """A map of so many cells: for each the letter of the node that most of its bytes are on, ``?``
    (in RAM, node not reported), ``s`` … swapped is ``~``, absent ``.``."""
    count = max(1, min(count, measured.size)) if measured.size else 0
    totals: list[dict[str, int]] = [{} for _ in range(count)]
    for run in measured.runs:
        mark = _mark(run.place, run.node)
        first, last = run.start * count // measured.size, (run.stop - 1) * count // measured.size
        for cell in range(first, last + 1):
            begin, end = cell * measured.size // count, (cell + 1) * measured.size // count
            part = min(run.stop, end) - max(run.start, begin)
            if part > 0:
                totals[cell][mark] = totals[cell].get(mark, 0) + part
    return [max(total, key=lambda mark: total[mark]) if total else "." for total in totals]


def _mark(place: str, node: int | None) -> str:
    if node is not None:
        return _LETTERS[node] if node < len(_LETTERS) else "+"
    return {"ram": "?", "swapped": "~"}.get(place, ".")


def text(area: Area, width: int) -> str:
    """The map as lines of text, with a legend."""
    measured = area.residency()
    marks = cells(measured, width * 16)
    lines = ["".join(marks[at : at + width]) for at in range(0, len(marks), width)]
    each = size(measured.size // len(marks)) if marks else "0 B"
    legend = [f"one character is {each}"]
    legend += [f"{_mark('node', node)}: node {node}, {size(nbytes)}" for node, nbytes in measured.nodes.items()]
    if measured.node_unknown:
        legend.append(f"?: in RAM, {size(measured.node_unknown)}")
    if measured.swapped:
        legend.append(f"~: swapped out, {size(measured.swapped)}")
    if measured.absent:
        legend.append(f".: not in RAM, {size(measured.absent)}")
    return "\n".join([one_line(area), *lines, "; ".join(legend)])


def figure(area: Area, width: int) -> Any:
    """The map as a figure of matplotlib; `ImportError` where that is not installed."""
    import matplotlib.pyplot as plot  # type: ignore[import-not-found,import-untyped,unused-ignore]
    import numpy as np

    measured = area.residency()
    marks = cells(measured, width * 16) or ["."]
    kinds = sorted(set(marks))
    colours = plot.get_cmap("tab20", max(len(kinds), 2))
    numbers = np.full((-(-len(marks) // width), width), np.nan)
    numbers.flat[: len(marks)] = [kinds.index(mark) for mark in marks]
    drawn, axes = plot.subplots(figsize=(8, 0.8 + 0.2 * len(numbers)))
    axes.imshow(numbers, cmap=colours, vmin=-0.5, vmax=max(len(kinds), 2) - 0.5, aspect="auto", interpolation="nearest")
    names = {".": "not in RAM", "~": "swapped out", "?": "in RAM", "+": "other nodes"}
    for index, kind in enumerate(kinds):
        axes.plot([], [], "s", color=colours(index), label=names.get(kind, f"node {_LETTERS.find(kind)}"))
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    axes.set_title(one_line(area), fontsize="small", loc="left")
    axes.set_axis_off()
    drawn.tight_layout()
    return drawn
