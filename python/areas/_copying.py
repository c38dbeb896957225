"""Copying large arrays into new areas, by the kernel."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ._areas import Holding

#: What is written at a time: Ctrl-C and progress in between.
_CHUNK = 8 << 20


@contextmanager
def _descriptor(holding: Holding) -> Iterator[int | None]:
    """A descriptor of its memory for as long as that takes; ``None`` where the program has closed
    the area's own."""
    number, device, inode = holding.descriptor
    try:
        copy = os.dup(number)
    except OSError:
        yield None
        return
    try:
        found = os.fstat(copy)
        # Behind a close that number may be any file's.
        yield copy if (found.st_dev, found.st_ino) == (device, inode) else None
    finally:
        os.close(copy)


def write(holding: Holding, source: np.ndarray[Any, Any], report: Callable[[int, int], object] | None) -> bool:
    """Writes all bytes of a contiguous array to the beginning of an area. False where that cannot
    be: nothing is lost then, and they are to be copied into the mapping.

    The kernel takes each page of the area as it is written; before bytes are copied into a mapping,
    each page is filled with zeros. By one thread: the kernel writes a file for one at a time.
    """
    view: Any = np.asarray(source).reshape(-1).view("u1")
    parts = memoryview(view)
    at, whole = 0, len(parts)
    with _descriptor(holding) as descriptor:
        if descriptor is None:
            return False
        while at < whole:
            try:
                at += os.pwrite(descriptor, parts[at : at + _CHUNK], at)
            except OSError:
                # Pages of a pool cannot be written so, nor files beyond RLIMIT_FSIZE; where memory
                # is short, the mapping says so better.
                return False
            if report is not None:
                report(at, whole)
    return True
