"""A kill at any moment leaves nothing behind, and disturbs no process."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

# Fewer where many Pythons are tried.
TRIALS = os.environ.get("AREAS_TRIALS", "200")
DRIVER = Path(__file__).parent / "kills" / "driver.py"


def test_kills_leave_nothing(tmp_path):
    seed = random.randrange(1 << 30)
    environment = os.environ | {"AREAS_DIR": str(tmp_path / "registry")}
    command = [sys.executable, "-X", "faulthandler", str(DRIVER), TRIALS, str(seed)]
    # A file: a pipe would be open as long as anybody has it.
    output = tmp_path / "output"
    with open(output, "w") as file:
        ran = subprocess.Popen(command, env=environment, stdout=file, stderr=file, start_new_session=True)
    try:
        ran.wait(timeout=170)
    finally:
        if ran.poll() is None:
            os.killpg(ran.pid, signal.SIGKILL)
            ran.wait()
    said = output.read_text()
    print(f"seed {seed}: {said}")
    assert ran.returncode == 0, f"seed {seed}: {said}"
