"""What the machine is: a ratio without it means little."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def load() -> str:
    """The load over the last minute."""
    return _text("/proc/loadavg").split(" ")[0]


def look() -> dict[str, object]:
    """CPU, memory, kernel, and the versions of everything compared."""
    info = _text("/proc/cpuinfo").splitlines()
    fields = dict(line.split(":", 1) for line in info if ":" in line)
    named = {name.strip(): value.strip() for name, value in fields.items()}
    memory = dict(line.split(":", 1) for line in _text("/proc/meminfo").splitlines() if ":" in line)
    flags = named.get("flags", "").split()
    return {
        "cpu": named.get("model name", platform.machine()),
        "cpus": len(os.sched_getaffinity(0)),
        "virtual_machine": "hypervisor" in flags,
        "memory_mib": int(memory.get("MemTotal", "0 kB").split()[0]) // 1024,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in ("numpy", "joblib", "posix_ipc", "mpi4py")},
    }


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
