"""Progress of long calls: a function of the caller's, or a bar."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

#: ``progress=``: nothing, ``True`` for a bar, or a function of bytes done and bytes in all.
Progress: TypeAlias = Callable[[int, int], object] | bool | None


@contextmanager
def reporting(progress: Progress, what: str) -> Iterator[Callable[[int, int], object] | None]:
    """The function that is to be called, for as long as a call takes."""
    if progress is None or progress is False:
        yield None
    elif progress is not True:
        yield progress
    else:
        bar = _tqdm(what) or _Text(what)
        try:
            yield bar.report
        finally:
            bar.close()


class _Tqdm:
    """tqdm's bar: of a notebook, or of a terminal."""

    def __init__(self, tqdm: Any, what: str) -> None:
        self._bar = tqdm(desc=what, unit="B", unit_scale=True, unit_divisor=1024, leave=False)

    def report(self, done: int, total: int) -> None:
        self._bar.total = total
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        self._bar.close()


def _tqdm(what: str) -> _Tqdm | None:
    try:
        from tqdm.auto import tqdm  # type: ignore[import-untyped,import-not-found,unused-ignore]
    except ImportError:
        return None
    return _Tqdm(tqdm, what)


class _Text:
    """A line on standard error, where that is a terminal; nothing where it is none."""

    _WIDTH = 30

    def __init__(self, what: str) -> None:
        self._what = what
        stream = sys.stderr
        self._stream = stream if stream is not None and not stream.closed and stream.isatty() else None
        self._drawn = False

    def report(self, done: int, total: int) -> None:
        if self._stream is None:
            return
        part = done / total if total else 1.0
        filled = int(part * self._WIDTH)
        bar = "#" * filled + "." * (self._WIDTH - filled)
        self._stream.write(f"\r{self._what} [{bar}] {part:4.0%} of {total >> 20} MiB")
        self._stream.flush()
        self._drawn = True

    def close(self) -> None:
        if self._stream is not None and self._drawn:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
