"""Arrays over an area's memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ._areas import Memory


class AreaArray(np.ndarray[Any, Any]):
    """A NumPy array over an area's memory: no copy, and as long as it lives, the memory does.

    Views of it are such arrays too; what is computed from it is a plain ``numpy.ndarray``.

    It pickles as a handle of some 50 bytes, views and strides included: who unpickles it, in
    another process of the same user and machine, has the same memory. The handle holds nothing: a
    process has to hold the memory until it is unpickled. Within :func:`areas.by_value` it pickles
    by its bytes, as any array does.
    """

    def __array_wrap__(self, array: Any, context: Any = None, return_scalar: bool = False) -> Any:
        # A result of a computation. (As ndarray does it: a scalar where there is one value and no
        # dimension.)
        if array is self:
            return array
        if return_scalar:
            return array[()]
        return plain(array)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        result = super().__array_function__(func, types, args, kwargs)
        if type(result) in (list, tuple):
            return type(result)(_settled(part) for part in result)
        return _settled(result)

    def __getitem__(self, index: Any) -> Any:
        # (Picking single items by lists or masks copies.)
        return plain(super().__getitem__(index))

    def __reduce_ex__(self, protocol: Any) -> Any:
        from ._handles import reduce

        return reduce(self, int(protocol))

    def __reduce__(self) -> Any:
        return self.__reduce_ex__(2)

    def __deepcopy__(self, memo: Any) -> Any:
        return np.array(self, subok=False)

    def __copy__(self) -> Any:
        return np.array(self, subok=False)


def _returning_plain(name: str) -> Callable[..., Any]:
    method = getattr(np.ndarray, name)

    def call(self: AreaArray, *args: Any, **kwargs: Any) -> Any:
        return plain(method(self, *args, **kwargs))

    call.__name__ = call.__qualname__ = name
    call.__doc__ = method.__doc__
    return call


# Methods whose result may have memory of its own.
for _name in (
    "argpartition argsort astype byteswap choose clip compress conj conjugate copy cumprod cumsum diagonal dot flatten "
    "nonzero prod ravel repeat reshape round searchsorted squeeze sum take trace"
).split():
    setattr(AreaArray, _name, _returning_plain(_name))


def _settled(result: Any) -> Any:
    """What a function of NumPy gives: plain where it has memory of its own, and one of ours where
    it is a view (as of `broadcast_to`)."""
    if type(result) is np.ndarray and result.base is not None and memory_of(result) is not None:
        return result.view(AreaArray)
    return plain(result)


def plain(result: Any) -> Any:
    """A result, as a plain array where it has memory of its own."""
    if type(result) is AreaArray and memory_of(result) is None:
        return result.view(np.ndarray)
    return result


def over(memory: Memory, shape: tuple[int, ...], dtype: np.dtype[Any], offset: int = 0, strides: Any = None) -> AreaArray:
    """An array over memory, from a byte of it on. It keeps the memory by reference.

    NumPy checks that all of it lies inside the memory.
    """
    return AreaArray(shape, dtype, memory, offset, strides)  # type: ignore[arg-type, unused-ignore]


def memory_of(array: Any) -> Memory | None:
    """The memory that an array, or what it is a view of, lies in; ``None`` for other memory."""
    base = array
    while base is not None:
        if type(base) is Memory:
            return base
        base = base.obj if isinstance(base, memoryview) else getattr(base, "base", None)
    return None
