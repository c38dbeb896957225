"""The time that `import areas` takes by itself."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

from ..measure import Side, alone, pair
from ..outcome import Compared, Number, Outcome

PROGRAM = """
import sys, time
import numpy
start = time.perf_counter()
import {module}
print(time.perf_counter() - start)
"""


def run(context) -> Iterator[Outcome]:
    """In a new interpreter each time, in which numpy is."""

    def side(module: str) -> Side:
        def work() -> float:
            command = [sys.executable, "-c", PROGRAM.format(module=module)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            return float(done.stdout)

        return Side(f"import {module}", work)

    spread = alone(side("areas"), context.long)
    in_ms = type(spread)(*(1e3 * value for value in (spread.low, spread.median, spread.high)))
    yield Number("import areas, over import numpy", in_ms, "ms", 25.0)
    peer = side("multiprocessing.shared_memory")
    yield Compared("import", "areas", peer.name, pair(side("areas"), peer, context.long))
