"""The floor: the system calls that an area takes, made in C (`bench/peers/floor.c`, of the
library's own benchmark), and nothing else."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import tempfile
from pathlib import Path

from .measure import Side

SOURCES = Path(__file__).parents[2] / "peers"


class _Work(ctypes.Structure):
    """`struct work` of peer.h."""

    _fields_ = (
        ("times", ctypes.c_uint64),
        ("size", ctypes.c_uint64),
        ("name", ctypes.c_char_p),
        ("source", ctypes.c_void_p),
        ("target", ctypes.c_void_p),
        ("descriptor", ctypes.c_int),
        ("touch", ctypes.c_int),
    )


_loaded: list[ctypes.CDLL] = []


def _library() -> ctypes.CDLL:
    """Compiled once. OSError where it cannot be."""
    if not _loaded:
        compiler = shutil.which("cc")
        if compiler is None:
            raise OSError("there is no C compiler (cc) here")
        with tempfile.TemporaryDirectory() as folder:
            made = Path(folder) / "floor.so"
            command = [compiler, "-O2", "-shared", "-fPIC", "-o", made, SOURCES / "floor.c", "-pthread"]
            ran = subprocess.run(command, capture_output=True, text=True)
            if ran.returncode != 0:
                raise OSError(f"cc: {ran.stderr[-300:]}")
            _loaded.append(ctypes.CDLL(str(made)))
    return _loaded[0]


def side(function: str, size: int) -> Side:
    """One of its functions, timed by itself: without the call from Python. OSError where it cannot
    be had."""
    call = getattr(_library(), function)
    call.restype = ctypes.c_int64
    work = _Work(times=1, size=size)

    def once() -> float:
        took = call(ctypes.byref(work))
        if took <= 0:
            raise RuntimeError(f"{function} failed")
        return took / 1e9

    return Side("the same calls in C", once)
