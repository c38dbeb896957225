"""Sequences of calls, chosen by hypothesis, in an interpreter of their own: a crash is a failure
here, and not the end of the tests."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest

pytest.importorskip("hypothesis")

#: Sequences, and calls in each. A longer run: `python tests/fuzz_calls.py 20000 60 random`.
EXAMPLES, STEPS = os.environ.get("AREAS_FUZZ_EXAMPLES", "20"), "25"


@pytest.mark.timeout(170)
def test_no_sequence_of_calls_crashes_or_gives_wrong_bytes():
    program = pathlib.Path(__file__).with_name("fuzz_calls.py")
    command = [sys.executable, "-X", "faulthandler", str(program), EXAMPLES, STEPS]
    done = subprocess.run(command, capture_output=True, text=True, timeout=160, check=False)
    assert done.returncode == 0, f"ended with {done.returncode}:\n{done.stdout[-8000:]}\n{done.stderr[-8000:]}"
    assert done.stdout.endswith(f"{EXAMPLES} sequences\n")
    assert "Fatal Python error" not in done.stderr
