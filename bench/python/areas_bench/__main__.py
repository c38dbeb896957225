"""`python -m areas_bench [--smoke] [--out FOLDER] [ROW…]`; started by `cargo xtask bench
python`."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

from . import machine, report
from .rows import ROWS, Context


def main() -> int:
    """Runs the rows that were asked for. 1 where one of them failed."""
    parser = argparse.ArgumentParser(prog="areas_bench", description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="each row once, with tiny numbers")
    parser.add_argument("--list", action="store_true", help="the names of the rows")
    parser.add_argument("--out", type=Path, help="where to write python.md and python.json")
    parser.add_argument("rows", nargs="*", metavar="ROW")
    options = parser.parse_args()
    known = {row.name: row for row in ROWS}
    if options.list:
        print(*(f"{row.name:<10} {row.what}" for row in ROWS), sep="\n")
        return 0
    unknown = [name for name in options.rows if name not in known]
    if unknown:
        parser.error(f"no such row: {', '.join(unknown)} (--list has them)")
    chosen = [known[name] for name in options.rows] or ROWS
    # A registry of its own, so that nothing else on the machine is found.
    with tempfile.TemporaryDirectory(prefix="areas-bench-") as registry:
        os.environ["AREAS_DIR"] = registry
        return _run(chosen, Context(smoke=options.smoke), options.out)


def _run(chosen: list, context: Context, out: Path | None) -> int:
    before, start = machine.load(), time.perf_counter()
    rows: report.Rows = {}
    for row in chosen:
        outcomes = []
        for outcome in row.run(context):
            outcomes.append(outcome)
            print(report.in_short(row.name, outcome), flush=True)
        rows[row.name] = (row.what, outcomes)
    about = machine.look() | {
        "load_before": before,
        "load_after": machine.load(),
        "seconds": time.perf_counter() - start,
    }
    print(report.summary(rows, context.smoke))
    print(f"rows: {len(rows)}")
    for name, (_, outcomes) in rows.items():
        for one in outcomes:
            if isinstance(one, report.Skipped):
                print(f"SKIPPED: python {name}: {one.case}: {one.why}", file=sys.stderr)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "python.md").write_text(report.markdown(rows, about, context.smoke), encoding="utf-8")
        text = json.dumps(report.as_json(rows, about, context.smoke), indent=1)
        (out / "python.json").write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
