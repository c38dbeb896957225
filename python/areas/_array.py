"""Arrays over an area's memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._areas import Memory


class AreaArray(np.ndarray[Any, Any]):
    """A NumPy array over an area's memory: no copy, and as long as it lives, the memory does.

    Views of it are such arrays too; what is computed from it is a plain ``numpy.ndarray``.
    """

    def __array_wrap__(self, array: Any, context: Any = None, return_scalar: bool = False) -> Any:
        # A result of a computation. (As ndarray does it: a scalar where there is one value and no dimension.)
        if array is self:
            return array
        if return_scalar:
            return array[()]
        return array.view(np.ndarray)


def over(memory: Memory, shape: tuple[int, ...], dtype: np.dtype[Any]) -> AreaArray:
    """An array over memory, from its first byte on. It keeps the memory by reference."""
    return AreaArray(shape, dtype, memory)  # type: ignore[arg-type]


def memory_of(array: Any) -> Memory | None:
    """The memory that an array, or what it is a view of, lies in."""
    base = array
    while base is not None:
        if isinstance(base, Memory):
            return base
        if isinstance(base, memoryview):
            base = base.obj
        else:
            base = getattr(base, "base", None)
    return None
