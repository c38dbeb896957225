"""A kill at any moment leaves nothing behind, and disturbs nobody."""

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
    ran = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    try:
        said, _ = ran.communicate(timeout=150)
    finally:
        if ran.poll() is None:
            os.killpg(ran.pid, signal.SIGKILL)
    print(f"seed {seed}: {said}")
    assert ran.returncode == 0, f"seed {seed}: {said}"
