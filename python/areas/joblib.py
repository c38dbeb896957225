"""joblib's workers get large arrays as handles of areas, where joblib itself writes files for them
to map.

>>> import areas.joblib, joblib
>>> areas.joblib.register()
>>> frames = areas.create(shape=(1000, 1000), dtype="f8")
>>> joblib.Parallel(n_jobs=2)(joblib.delayed(sum)(row) for row in frames.array[:2])
[np.float64(0.0), np.float64(0.0)]

- An array that lies in an area (and a view of one) goes as a handle, whatever its size: nothing is
  copied, and it may be written in the worker where it may be written here.
- A plain array above ``max_nbytes`` is copied into an area once in each call of ``Parallel``, by
  several threads where it is large, and is read-only in the workers, as joblib's memmaps are
  (``mmap_mode="r"``). No file is made, so none is left behind.
- All else is as in joblib's backend "loky".

Needs joblib. Workers import :mod:`areas` by themselves.
"""

from __future__ import annotations

import threading
import weakref
from typing import Any

import joblib
import numpy as np
from joblib._memmapping_reducer import ArrayMemmapForwardReducer
from joblib._parallel_backends import LokyBackend

from ._area import Area
from ._array import AreaArray, memory_of
from ._handles import _reduce_between
from ._making import _copy, create

__all__ = ["NAME", "AreasBackend", "register", "unregister"]

#: What the backend is called: ``joblib.Parallel(backend="areas")``.
NAME = "areas"

#: From this size on, pages are brought in by several threads before the copy, where the kernel cannot write the array.
_LARGE = 16 << 20


def register(*, make_default: bool = True) -> None:
    """Makes the backend "areas" known to joblib; and its default, unless asked otherwise.

    With ``make_default=False`` it is used where it is asked for: ``joblib.Parallel(n_jobs=8,
    backend="areas")``, or ``with joblib.parallel_config(backend="areas")``. May be called again.
    """
    joblib.register_parallel_backend(NAME, AreasBackend, make_default=make_default)


def unregister() -> None:
    """Makes "loky" the default again, and forgets the backend "areas"."""
    joblib.parallel.BACKENDS.pop(NAME, None)
    if joblib.parallel.DEFAULT_BACKEND == NAME:
        joblib.parallel.DEFAULT_BACKEND = "loky"


class AreasBackend(LokyBackend):  # type: ignore[misc]
    """joblib's backend "loky", in which arrays go to the workers as handles of areas."""

    def configure(self, n_jobs: int = 1, parallel: Any = None, **how: Any) -> Any:
        """As joblib calls it: gets the workers ready. The number of workers."""
        return super().configure(n_jobs, parallel, forward_reducers=_reducers, **how)

    def terminate(self) -> None:
        """As joblib calls it, at the end of a call of ``Parallel``: what was copied for the call is
        freed."""
        super().terminate()
        _copies.forget()

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """As joblib calls it where a task failed."""
        super().abort_everything(ensure_ready)
        _copies.forget()


class _Copies:
    """Areas with copies of plain arrays, by the array: for one call of ``Parallel`` (or several at
    once in threads)."""

    def __init__(self) -> None:
        self._areas: dict[int, tuple[weakref.ref[Any], Area]] = {}
        self._lock = threading.Lock()

    def of(self, array: np.ndarray[Any, Any]) -> Area:
        """The area with this array's bytes. Frozen."""
        with self._lock:
            known = self._areas.get(id(array))
            # An id is used again once its array is gone.
            if known is not None and known[0]() is array:
                return known[1]
            # As its pages are taken with their bytes, so none is brought in before.
            populate = array.nbytes >= _LARGE and not array.flags.c_contiguous
            area = create("joblib: a copy", shape=array.shape, dtype=array.dtype, populate=populate)
            _copy(area, array, None)
            area.freeze()
            self._areas[id(array)] = (weakref.ref(array), area)
            return area

    def forget(self) -> None:
        with self._lock:
            self._areas.clear()


class _Reducer:
    """How an array becomes a handle; for what is too small for that, and cannot be, joblib's own
    way."""

    def __init__(self, theirs: Any, max_nbytes: float | None, mmap_mode: str | None) -> None:
        self._theirs = theirs
        self._max_nbytes = max_nbytes
        self._read_only = mmap_mode == "r"

    def __call__(self, array: np.ndarray[Any, Any]) -> Any:
        if memory_of(array) is not None:
            return _reduce_between(array.view(AreaArray))
        # Modes other than "r" mean files that workers write: they stay joblib's.
        large = self._max_nbytes is not None and array.nbytes > self._max_nbytes
        if large and self._read_only and not array.dtype.hasobject and not isinstance(array, np.memmap):
            return _copies.of(array).array.__reduce_ex__(5)
        return self._theirs(array)

    def __reduce__(self) -> Any:
        # Workers are given the reducers, and send by others.
        return _Reducer, (self._theirs, self._max_nbytes, "r" if self._read_only else None)


class _Reducers(dict[type, Any]):
    """The reducers that joblib fills with its own: those for arrays ask us first."""

    def __setitem__(self, kind: type, reducer: Any) -> None:
        if isinstance(reducer, ArrayMemmapForwardReducer):
            reducer = _Reducer(reducer, reducer._max_nbytes, reducer._mmap_mode)
            super().__setitem__(AreaArray, reducer)
        super().__setitem__(kind, reducer)

    def __reduce__(self) -> Any:
        return dict, (dict(self),)


_copies = _Copies()
#: One for all calls: joblib keeps its workers from call to call while what it was given stays the same.
_reducers = _Reducers()
