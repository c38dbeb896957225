"""The note of an area: dtype and shape of its array, as text that another process reads.

What is read was written by another process: it is checked word by word, nothing in it is evaluated,
and what it says must fit the memory that is there.

A note of this package is ``numpy:`` and JSON: ``["<f8",[3,4]]``, with a text of the user's as a
third item. A dtype is NumPy's short form (``<f8``, ``|u1``, ``<M8[ns]``, ``<U10``), or for
structures an object with names, formats, offsets and the size of an item.
"""

from __future__ import annotations

import functools
import math
import re
from typing import Any, NamedTuple

import numpy as np

from ._errors import InvalidInput

#: A note has no more bytes.
MAX = 256
_MAGIC = b"numpy:"
#: Plain dtypes, byte for byte: kinds whose items are nothing but their bytes.
_PLAIN = re.compile(r"[<>|=][biufcSUV][1-9][0-9]{0,8}|\|b1")
_TIME = re.compile(r"[<>]([mM])8(?:\[(?:[1-9][0-9]{0,8})?(?:Y|M|W|D|h|m|s|ms|us|ns|ps|fs|as)\])?")
#: Structures in structures: no deeper.
_DEPTH = 8
#: NumPy has no more dimensions.
_DIMS = 64
_MOST = 1 << 63


class Note(NamedTuple):
    """What a note of this package says."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    text: str | None
    #: How many bytes such an array has.
    nbytes: int


class Malformed(ValueError):
    """What cannot be a note of ours."""


def encode_dtype(dtype: np.dtype[Any]) -> Any:
    """A dtype as JSON."""
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return [encode_dtype(base), list(shape)]
    if dtype.names is None:
        return dtype.str
    fields = [dtype.fields[name] for name in dtype.names] if dtype.fields else []
    return {
        "n": list(dtype.names),
        "f": [encode_dtype(field[0]) for field in fields],
        "o": [field[1] for field in fields],
        "i": dtype.itemsize,
    }


def _size(value: Any) -> int:
    if type(value) is not int or not 0 <= value < _MOST:
        raise Malformed(f"{value!r} is not a size")
    return value


def decode_shape(value: Any) -> tuple[int, ...]:
    """A shape from JSON."""
    if not isinstance(value, list) or len(value) > _DIMS:
        raise Malformed("the shape is not a list of dimensions")
    return tuple(_size(dim) for dim in value)


def decode_dtype(value: Any, depth: int = 0) -> np.dtype[Any]:
    """A dtype from JSON: from an allow-list, never evaluated."""
    if depth > _DEPTH:
        raise Malformed("structures in structures, too deep")
    if isinstance(value, str):
        if not (_PLAIN.fullmatch(value) or _TIME.fullmatch(value)):
            raise Malformed(f"dtype {value!r} is not one of numbers, bytes, text or times")
        try:
            dtype: np.dtype[Any] = np.dtype(value)
        except (TypeError, ValueError) as error:
            raise Malformed(f"dtype {value!r}: {error}") from None
        return dtype
    if isinstance(value, list) and len(value) == 2:
        base, shape = decode_dtype(value[0], depth + 1), decode_shape(value[1])
        if math.prod(shape) * base.itemsize >= 1 << 31:
            raise Malformed("an item is too large")
        return np.dtype((base, shape))
    if not isinstance(value, dict) or set(value) != {"n", "f", "o", "i"}:
        raise Malformed("the dtype is neither a short form nor a structure")
    names, formats, offsets = value["n"], value["f"], value["o"]
    if not (isinstance(names, list) and isinstance(formats, list) and isinstance(offsets, list)):
        raise Malformed("a structure without lists")
    if not (len(names) == len(formats) == len(offsets)) or not all(isinstance(name, str) for name in names):
        raise Malformed("a structure of lists that do not fit")
    size = _size(value["i"])
    parts = [decode_dtype(form, depth + 1) for form in formats]
    if any(_size(at) + part.itemsize > size for at, part in zip(offsets, parts, strict=True)):
        raise Malformed("a field lies outside of its item")
    try:
        return np.dtype({"names": names, "formats": parts, "offsets": offsets, "itemsize": size})
    except (TypeError, ValueError) as error:
        raise Malformed(str(error)) from None


@functools.lru_cache(maxsize=64)
def encode(dtype: np.dtype[Any], shape: tuple[int, ...], text: str | None = None) -> bytes:
    """The note for an array.

    Raises:
        InvalidInput: it would have more than 256 bytes.
    """
    if text is None and dtype.names is None and dtype.subdtype is None:
        # As below, without an import: a short form has no character that JSON writes otherwise.
        note = b'%b["%b",[%b]]' % (_MAGIC, dtype.str.encode(), ",".join(map(str, shape)).encode())
    else:
        import json

        items: list[Any] = [encode_dtype(dtype), list(shape)]
        if text is not None:
            items.append(text)
        note = _MAGIC + json.dumps(items, separators=(",", ":"), ensure_ascii=False).encode()
    if len(note) > MAX:
        raise InvalidInput(
            f"cannot note dtype, shape and text of an area: they take {len(note)} bytes, and a note has {MAX}",
            remedy="shorten the text or the names of fields; or make the area by nbytes, and agree on the dtype elsewhere",
        )
    return note


def decode(note: bytes, nbytes: int) -> Note | None:
    """What a note says; ``None`` for one that is not of this package.

    Raises:
        Malformed: it begins as one of ours, and is none, or says more than ``nbytes`` bytes of
            memory hold.
    """
    if not note.startswith(_MAGIC):
        return None
    read = _read(note)
    if read.dtype.names is not None or read.dtype.subdtype is not None:
        # The names of a structure's fields can be changed in place, so that each has its own.
        read = _read.__wrapped__(note)
    if read.nbytes > nbytes:
        raise Malformed(
            f"an array of shape {read.shape} and dtype {read.dtype} has {read.nbytes} bytes, and the memory has {nbytes}"
        )
    return read


@functools.lru_cache(maxsize=64)
def _read(note: bytes) -> Note:
    """What a note of ours says, whatever memory there is: the same bytes say the same each time."""
    import json

    try:
        items = json.loads(note[len(_MAGIC) :].decode())
    except (ValueError, RecursionError) as error:
        raise Malformed(f"it is not JSON: {error}") from None
    if not isinstance(items, list) or len(items) not in (2, 3):
        raise Malformed("it is not a list of dtype and shape")
    dtype, shape = decode_dtype(items[0]), decode_shape(items[1])
    text = items[2] if len(items) == 3 else None
    if text is not None and not isinstance(text, str):
        raise Malformed("its text is none")
    if dtype.itemsize == 0:
        raise Malformed("its items have no bytes")
    return Note(dtype, shape, text, math.prod(shape) * dtype.itemsize)
