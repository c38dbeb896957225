"""Arrow tables in areas: read by other processes where they lie, without a copy.

>>> import areas.arrow, pyarrow as pa
>>> held = areas.arrow.put(pa.table({"x": [1, 2, 3]}), "doc: table")
>>> areas.arrow.get("doc: table")["x"].to_pylist()
[1, 2, 3]

A table lies in its area as a stream of Arrow's IPC format, uncompressed. :func:`put` writes it
there once; :func:`get` makes a table whose columns are the area's memory. pandas and polars take it
from there: ``table.to_pandas(split_blocks=True)``, ``polars.from_arrow(table)``.

Needs pyarrow.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa

from ._area import Area
from ._errors import Busy, InvalidInput
from ._making import create, find, name_of

__all__ = ["get", "put", "read", "to_arrow"]

#: From this size on, several threads copy.
_LARGE = 16 << 20


def put(
    data: Any,
    name: str | bytes | None = None,
    *,
    freeze: bool = True,
    preserve_index: bool | None = None,
    exclusive: bool = False,
    **where: Any,
) -> Area:
    """Writes a table into a new area; the area. Its memory is the table's as long as a process
    holds it.

    ``data``: a ``pyarrow.Table`` or ``RecordBatch``, a ``RecordBatchReader``, a pandas or polars
    ``DataFrame``, or anything else with ``__arrow_c_stream__``. ``name``: what others find it by;
    without one it is only this process's. ``preserve_index``: as ``pyarrow.Table.from_pandas`` has
    it. ``where``: ``policy``, ``nodes``, ``home``, ``huge``, ``lock``, ``dump``, ``note`` as in
    :func:`areas.create`; so is ``exclusive``.

    The table is complete, and frozen unless ``freeze`` is false, before anybody finds it. It is
    copied once, by several threads where it is large.

    Raises:
        InvalidInput: ``data`` is not a table.
        areas.Error: as :func:`areas.create` and :meth:`areas.Area.freeze`.
    """
    table = _table(data, preserve_index)
    counted = pa.MockOutputStream()
    _write(table, counted)
    area = create(nbytes=counted.size(), populate=counted.size() >= _LARGE, **where)
    _fill(table, area)
    if freeze:
        area.freeze()
    if name is not None:
        area._held("publish").publish(name_of(name), exclusive)
    return area


def get(
    name: str | bytes, *, keep_name: bool = True, frozen: bool = True, validate: bool | str = True
) -> pa.Table:
    """The table in the oldest area of that name: its columns are the area's memory, which lives as
    long as the table does.

    ``keep_name``: this process holds it under the name, too. ``frozen``: only a frozen area will
    do, as Arrow's data must not change; with false it is on whoever writes it. ``validate``: true
    looks at lengths and types, ``"full"`` at all values (text, offsets, indices): for an area of a
    process that is not trusted. False looks at nothing.

    Raises:
        NotFound: there is no such area.
        Busy: it is not frozen.
        InvalidInput: there is no table in it, or one that is not as it must be.
    """
    return read(find(name, keep_name=keep_name), frozen=frozen, validate=validate)


def read(area: Area, *, frozen: bool = True, validate: bool | str = True) -> pa.Table:
    """The table in an area, as :func:`get` has it."""
    if frozen and not area.frozen:
        raise Busy(
            f"cannot read a table in {area.name!r}: it is not frozen, and may change while it is read",
            remedy="freeze it where it was made (`areas.arrow.put(table, name)` does), or say frozen=False",
        )
    try:
        table = pa.ipc.open_stream(pa.py_buffer(area.memory)).read_all()
        if validate:
            table.validate(full=validate == "full")
    except (pa.ArrowException, ValueError, LookupError, NotImplementedError, OSError, MemoryError) as error:
        raise InvalidInput(
            f"cannot read a table in {area.name!r}: {error}",
            remedy="areas.arrow reads what areas.arrow.put wrote; for an area of numbers there is areas.find(name).to_arrow()",
        ) from None
    return table


def to_arrow(area: Area) -> pa.Array:
    """An area's array as an Arrow array over the same memory: no copy.

    One dimension becomes an array of numbers, times or ``fixed_size_binary``; of more dimensions
    the first one is the length, and each item a ``fixed_shape_tensor`` of the others. Arrow's data
    must not change: freeze the area first, or leave it alone.

    Raises:
        InvalidInput: Arrow has no type with this layout (bools of a byte each, other byte orders,
            records, complex numbers), or the array has no dimension.
    """
    dtype, shape = area.dtype, area.shape
    kind = _arrow_type(dtype)
    if not shape:
        raise InvalidInput("cannot make an Arrow array of an area whose array has no dimension: it has no length")
    length = int(np.prod(shape, dtype=np.int64))
    values = pa.Array.from_buffers(kind, length, [None, pa.py_buffer(area.memory)])
    if len(shape) == 1:
        return values
    width = length // shape[0] if shape[0] else int(np.prod(shape[1:], dtype=np.int64))
    rows = pa.FixedSizeListArray.from_buffers(
        pa.list_(kind, width), shape[0], [None], children=[values]
    )
    return pa.ExtensionArray.from_storage(pa.fixed_shape_tensor(kind, shape[1:]), rows)


def _arrow_type(dtype: np.dtype[Any]) -> pa.DataType:
    if dtype.isnative and dtype.fields is None:
        if dtype.kind in "iuf" and dtype.itemsize <= 8:
            return pa.from_numpy_dtype(dtype)
        if dtype.kind in "mM" and np.datetime_data(dtype) in [("s", 1), ("ms", 1), ("us", 1), ("ns", 1)]:
            return pa.from_numpy_dtype(dtype)
        if dtype.kind in "SV" and dtype.subdtype is None:
            return pa.binary(dtype.itemsize)
    raise InvalidInput(
        f"cannot make an Arrow array of dtype {dtype}: Arrow has no type with this layout",
        remedy="view it as one that Arrow has (bools: `area.array.view('u1')`), or copy: `pyarrow.array(area.array)`",
    )


def _table(data: Any, preserve_index: bool | None) -> pa.Table:
    if isinstance(data, pa.Table):
        return data
    if isinstance(data, pa.RecordBatch):
        return pa.Table.from_batches([data])
    if isinstance(data, pa.RecordBatchReader):
        return data.read_all()
    # pandas is not imported for this: a DataFrame of pandas has its module loaded already.
    module = type(data).__module__.partition(".")[0]
    try:
        if module == "pandas":
            return pa.Table.from_pandas(data, preserve_index=preserve_index)
        if hasattr(data, "__arrow_c_stream__") or isinstance(data, dict):
            return pa.table(data)
        if isinstance(data, Iterable) and not isinstance(data, (str, bytes)):
            batches = list(data)
            if batches and all(isinstance(batch, pa.RecordBatch) for batch in batches):
                return pa.Table.from_batches(batches)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise InvalidInput(f"cannot make a table of {type(data).__qualname__}: {error}") from error
    raise InvalidInput(
        f"cannot make a table of {type(data).__qualname__}: it is none",
        remedy="give a pyarrow.Table, a RecordBatchReader, a DataFrame of pandas or polars, or a dict of columns",
    )


def _write(table: pa.Table, sink: Any) -> None:
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)


def _fill(table: pa.Table, area: Area) -> None:
    """Writes it; nothing that could write the area is left when this returns."""
    with pa.FixedSizeBufferWriter(pa.py_buffer(area.memory)) as sink:
        if area.nbytes >= _LARGE:
            sink.set_memcopy_threads(min(pa.cpu_count(), 8))
        _write(table, sink)
