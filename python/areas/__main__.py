"""``python -m areas …`` runs the ``areas`` command, where it is installed."""

from __future__ import annotations

import os
import shutil
import sys


def main() -> int:
    command = shutil.which("areas")
    if command is None:
        print(
            "cannot run the `areas` command: it is not in PATH\n"
            "  help: install it (`cargo xtask install` in the project's folder); the Python package works without it",
            file=sys.stderr,
        )
        return 127
    os.execv(command, ["areas", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
