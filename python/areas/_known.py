"""Dtypes that the extension knows, so that it asks Python about none of them."""

from __future__ import annotations

from typing import Any

import numpy as np

#: What an area is of where nothing is said.
BYTES: np.dtype[Any] = np.dtype("u1")

#: Dtypes that the extension knows: by what they were asked for with, or by the text that a note has. With the bytes of an item, and that text.
KNOWN: dict[Any, tuple[np.dtype[Any], int, str]] = dict.fromkeys((None, BYTES, BYTES.str), (BYTES, 1, BYTES.str))


def known(given: Any, dtype: np.dtype[Any]) -> None:
    """Has the extension know a plain dtype. (Of structures the names of the fields can be changed
    in place; so they are never shared.)"""
    if (
        len(KNOWN) < 64
        and (type(given) in (str, type) or given is dtype)
        and dtype.names is None
        and dtype.subdtype is None
        and dtype.metadata is None
    ):
        KNOWN[given] = dtype, dtype.itemsize, dtype.str
