"""mpi4py's shared windows: made and freed by all processes of a communicator together."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from ..measure import Pair, Spread
from ..outcome import Compared, Outcome, Skipped

ROUNDS = 101
LIMIT = 120
"""Seconds: for processes that do not find each other."""


def run(context) -> Iterator[Outcome]:
    """Two processes of one `mpiexec`, which do both in turn."""
    case = f"{context.large_name}, last byte read by the other process"
    if importlib.util.find_spec("mpi4py") is None:
        yield Skipped(case, "mpi4py is not installed")
        return
    # That of the environment, where its MPI is installed as a wheel, too.
    beside = Path(sys.executable).parent / "mpiexec"
    mpiexec = str(beside) if beside.exists() else shutil.which("mpiexec")
    if mpiexec is None:
        yield Skipped(case, "there is no mpiexec here (pip: mpich; Debian: openmpi-bin)")
        return
    command = [mpiexec, "-n", "2", sys.executable, "-m", "areas_bench.ranks", str(context.large), str(1 if context.smoke else ROUNDS)]
    # Open MPI refuses root, and more processes than CPUs, unless it is allowed.
    words = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe"}
    try:
        done = subprocess.run(command, env=os.environ | words, capture_output=True, text=True, timeout=LIMIT)
    except subprocess.TimeoutExpired:
        yield Skipped(case, f"MPI's processes did not come to an end in {LIMIT} s")
        return
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()
        yield Skipped(case, f"mpiexec ended with {done.returncode}: {said[-1]}")
        return
    report = json.loads(done.stdout.strip().splitlines()[-1])
    ours, theirs = report["areas"], report["window"]
    pair = Pair(Spread.of([a / b for a, b in zip(ours, theirs, strict=True)]), Spread.of(ours), Spread.of(theirs), len(ours))
    yield Compared(case, "area.array over comm.send", f"MPI.Win.Allocate_shared ({report['mpi']})", pair)
