"""Making areas and finding them."""

from __future__ import annotations

import operator
import os
import stat
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from . import _areas, _handles, _notes
from ._area import Area, Shape, dtype_of, nbytes_of, of_note, shape_of
from ._errors import InvalidInput, NameTaken, NotFound, Unsupported
from ._known import BYTES, KNOWN, known
from ._progress import Progress, reporting

#: What is copied at a time: Ctrl-C and progress in between. (What is larger is written by the kernel, if it can be.)
_CHUNK = 16 << 20
_ENCODING, _ERRORS = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()
#: How long names that come and go are run after, in seconds.
_TIMEOUT = 1.0


def name_of(name: str | bytes) -> bytes:
    """A name as the library has it: bytes."""
    # (What os.fsencode does. Of a number, `bytes` would make so many zeros.)
    if isinstance(name, str):
        return name.encode(_ENCODING, _ERRORS)
    if isinstance(name, (bytes, bytearray, memoryview)):
        return bytes(name)
    raise TypeError(f"a name is text or bytes, and not {name!r}")


def create(
    name: str | bytes | None = None,
    *,
    nbytes: int | None = None,
    shape: Shape | None = None,
    dtype: Any = None,
    max_shape: Shape | None = None,
    exclusive: bool = False,
    policy: str | None = None,
    nodes: str | None = None,
    home: int | None = None,
    huge: str | None = None,
    lock: str | None = None,
    populate: bool = False,
    dump: bool = True,
    note: str | None = None,
    progress: Progress = None,
) -> Area:
    """Makes an area of zeros, for writing. It is published when it is complete.

    Args:
        name: What others find it by, up to 255 bytes. Without one it goes to others by a handle or
            over a socket.
        nbytes: Its size in bytes; or
        shape: the shape of its array, in items. One of the two.
        dtype: The dtype of its array: ``u1`` where it is not given. No Python objects.
        max_shape: How far it may grow, for all holders (:meth:`Area.grow`). Each takes that many
            addresses, and no memory.
        exclusive: Whether it is an error that there is an area of that name.
        policy: Where its pages come from: ``default``, ``local``, ``bind``, ``preferred``,
            ``preferred-many``, ``interleave``, ``weighted-interleave``; ``bind`` where only
            ``nodes`` is given.
        nodes: NUMA nodes, ``"0-3,8"`` or ``"all"``.
        home: The node from which free pages are looked for, with ``bind`` and ``preferred-many``.
        huge: Pages: ``auto`` (pool, else transparent huge ones where they can be had), ``2M`` or
            ``1G`` (from the pool, or an error), ``prefer:2M`` (from the pool, or base pages).
        lock: Whether it stays in RAM: ``lazy``, ``full``, ``contiguous``, ``low``, ``full-32``,
            ``contiguous-32``.
        populate: Whether all of its pages are brought in now, in parallel, or it is an error.
        dump: Whether core dumps of this process have its bytes.
        note: A text of your own for who finds it: some 200 bytes.
        progress: ``True`` for a bar, or a function of bytes done and bytes in all, while it is
            populated (a ``full`` lock does that, too).

    Raises:
        InvalidInput: What was asked makes no sense.
        NameTaken: With ``exclusive``.
        NodeNotAllowed: This process may not use a node.
        NoMemory, Limit: There is not that much.
    """
    # (Most ask for nothing more, and words that are passed take time.)
    plain = policy is None and nodes is None and home is None and huge is None and lock is None and max_shape is None
    plain = plain and dump is True and not populate
    if name is None:
        _handles.register()
    if plain and note is None:
        made = _areas.make(Area, KNOWN, name, nbytes, shape, dtype, exclusive)
        if made is not None:
            return made
    if (nbytes is None) == (shape is None):
        raise InvalidInput("cannot make an area: give either `nbytes` or `shape`", remedy="areas.create(name, shape=(3, 4), dtype='f8')")
    checked = BYTES if dtype is None else dtype_of(dtype)
    dims = shape_of(shape) if shape is not None else _items(nbytes, checked)
    total = nbytes_of(dims, checked)
    named = None if name is None else name_of(name)
    noted = _notes.encode(checked, dims, note)
    if plain:
        holding = _areas.create(total, named, noted, exclusive)
    else:
        asked: dict[str, Any] = {"policy": policy, "nodes": nodes, "home": home, "huge": huge, "lock": lock, "dump": dump}
        asked["max_nbytes"] = _most(max_shape, dims, checked)
        with reporting(progress if populate or lock == "full" else None, "populate") as report:
            holding = _areas.create(total, named, noted, exclusive, populate=populate, progress=report, **asked)
    known(dtype, checked)
    return Area(holding, dims, checked, note)


def _most(max_shape: Any, dims: tuple[int, ...], dtype: np.dtype[Any]) -> int | None:
    """How far an area may grow, in bytes."""
    if max_shape is None:
        return None
    most = nbytes_of(shape_of(max_shape), dtype)
    if most < nbytes_of(dims, dtype):
        raise InvalidInput(f"cannot make an area of shape {dims} that may grow to {shape_of(max_shape)}: that is smaller")
    return most


def _items(nbytes: Any, dtype: np.dtype[Any]) -> tuple[int]:
    if type(nbytes) is int and dtype is BYTES and nbytes >= 0:
        return (nbytes,)
    count, rest = divmod(operator.index(nbytes), dtype.itemsize)
    if rest or count < 0:
        raise InvalidInput(f"cannot make an area of {nbytes} bytes and dtype {dtype}: it is not a whole number of items")
    return (count,)


def put(
    obj: Any,
    name: str | bytes | None = None,
    *,
    freeze: bool = True,
    dtype: Any = None,
    shape: Shape | None = None,
    exclusive: bool = False,
    policy: str | None = None,
    nodes: str | None = None,
    home: int | None = None,
    huge: str | None = None,
    lock: str | None = None,
    dump: bool = True,
    note: str | None = None,
    progress: Progress = None,
) -> Area:
    """Copies an array, a buffer or a file into a new area, which is published when it is complete.

    Args:
        obj: An array or whatever NumPy makes one of; bytes or another buffer; a path (``str`` or
            :class:`os.PathLike`) or an open binary file, all of whose bytes are taken as they are,
            read in parallel.
        name: What others find it by.
        freeze: Whether no process may write it from then on.
        dtype: Of a file, ``u1`` where it is not given; what else is given is cast to it.
        shape: Of a file; one dimension where it is not given.
        exclusive, policy, nodes, home, huge, lock, dump, note: As for :func:`create`.
        progress: ``True`` for a bar, or a function of bytes done and bytes in all. What it raises,
            and Ctrl-C, leaves nothing behind.

    Raises:
        InvalidInput: It is nothing that can be shared: Python objects, say.
        OSError: The file cannot be read.
        Unsupported: It is a device, a pipe or the like.
        NameTaken, NoMemory, Limit: As for :func:`create`.
    """
    asked: dict[str, Any] = {"policy": policy, "nodes": nodes, "home": home, "huge": huge, "lock": lock, "dump": dump, "note": note}
    area = None
    try:
        with reporting(progress, "put") as report:
            if isinstance(obj, (str, os.PathLike)):
                with open(obj, "rb") as file:
                    area = _of_file(file, dtype, shape, asked, report)
            elif hasattr(obj, "fileno") and not isinstance(obj, np.ndarray):
                area = _of_file(obj, dtype, shape, asked, report)
            else:
                area = _of_array(_as_array(obj, dtype, shape), asked, report)
            if freeze:
                area.freeze()
            if name is not None:
                area._held("publish").publish(name_of(name), exclusive)
    except BaseException as error:
        if area is not None:
            area.close()
        _forget(error)
        raise
    if name is None:
        _handles.register()
    return area


def _as_array(obj: Any, dtype: Any, shape: Any) -> np.ndarray[Any, Any]:
    if isinstance(obj, (bytes, bytearray)):
        array: np.ndarray[Any, Any] = np.frombuffer(obj, "u1")
    else:
        array = np.asarray(obj)
    if dtype is not None:
        array = array.astype(dtype_of(dtype), copy=False)
    return array if shape is None else array.reshape(shape_of(shape))


def _of_array(array: np.ndarray[Any, Any], asked: dict[str, Any], report: Callable[[int, int], object] | None) -> Area:
    area = create(shape=array.shape, dtype=array.dtype, **asked)
    # What is locked or collapsed into huge pages has to come in by way of the mapping.
    _copy(area, array, report, by_kernel=asked["huge"] is asked["lock"] is None)
    return area


def _forget(error: BaseException) -> None:
    """Drops what frames of this package have in a traceback, wherever a signal came: who handles
    the error would hold the memory for so long."""
    traceback = error.__traceback__
    while traceback is not None:
        frame = traceback.tb_frame
        if frame.f_globals.get("__package__") == __package__:
            try:
                frame.clear()
            except RuntimeError:
                # It still runs.
                pass
        traceback = traceback.tb_next


def _copy(
    area: Area, source: np.ndarray[Any, Any], report: Callable[[int, int], object] | None, by_kernel: bool = True
) -> None:
    """Copies in pieces: a signal is handled between them."""
    if by_kernel and source.nbytes >= _CHUNK and source.flags.c_contiguous:
        from . import _copying

        if _copying.write(area._held("fill"), source, report):
            return
    target = area.array
    done = 0
    for piece, part in _pieces(target, source):
        piece[...] = part
        done += part.nbytes
        if report is not None:
            report(done, source.nbytes)


def _pieces(target: Any, source: Any) -> Any:
    if source.nbytes <= _CHUNK or source.ndim == 0:
        yield target, source
        return
    if source.flags.c_contiguous and source.ndim > 1:
        yield from _pieces(target.reshape(-1), source.reshape(-1))
        return
    row = source.nbytes // source.shape[0]
    if row > _CHUNK:
        for at in range(source.shape[0]):
            yield from _pieces(target[at], source[at])
        return
    step = _CHUNK // row
    for at in range(0, source.shape[0], step):
        yield target[at : at + step], source[at : at + step]


def _of_file(file: Any, dtype: Any, shape: Any, asked: dict[str, Any], report: Callable[[int, int], object] | None) -> Area:
    descriptor = file.fileno()
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        raise Unsupported(
            f"cannot put {getattr(file, 'name', descriptor)!r} into an area: it is not a regular file, so that it has no size to begin with",
            remedy="read it, and put the bytes: `areas.put(file.read())`; memory devices (/dev/dax0.0) are for the Rust library"
            " (`Storage`) and the C interface, which do not lend their pages as arrays",
        )
    nbytes = found.st_size
    checked = dtype_of("u1" if dtype is None else dtype)
    dims = _items(nbytes, checked) if shape is None else shape_of(shape)
    if nbytes_of(dims, checked) != nbytes:
        raise InvalidInput(
            f"cannot put a file of {nbytes} bytes as an array of shape {dims} and dtype {checked}: that has {nbytes_of(dims, checked)}"
        )
    area = create(shape=dims, dtype=checked, **asked)
    if nbytes:
        area._held("fill").fill_from(descriptor, report)
    return area


def find(
    name: str | bytes, *, write: bool = False, keep_name: bool = True, dtype: Any = None, shape: Shape | None = None
) -> Area:
    """The oldest area of that name that this user may read, opened.

    Args:
        name: Its name.
        write: Whether it is opened for writing; without it, the kernel refuses to.
        keep_name: Whether this process holds it under the same name, so that the name lives as long
            as a process holds the memory.
        dtype, shape: What its array is, in place of what its note says. Without a note it is bytes.

    Raises:
        NotFound: There is none.
        Frozen, ReadOnly: With ``write``: it is frozen; its holder may not write it.
        InvalidInput: Its note says what cannot be; or dtype and shape take more bytes than it has.
        Unsupported: It may shrink: arrays could lose their memory.
    """
    if dtype is None and shape is None:
        found = _areas.look_up(Area, KNOWN, name, write, keep_name)
        if isinstance(found, Area):
            return found
        holding = _areas.find(name_of(name), write, keep_name) if found is None else found
    else:
        holding = _areas.find(name_of(name), write, keep_name)
    return of_note(holding, "open area", dtype, shape, name)


def open_or_create(
    name: str | bytes,
    *,
    write: bool = True,
    shape: Shape | None = None,
    nbytes: int | None = None,
    dtype: Any = None,
    **asked: Any,
) -> Area:
    """The area of that name, opened where there is one, else made: of several that ask at once, one
    makes it, the others open it.

    Args:
        name: Its name.
        write: Whether one that is there is opened for writing. One that is made can be written in
            any case.
        shape, nbytes, dtype: As for :func:`create`. One that is there must have the same.
        asked: What else :func:`create` takes; it counts for a new one.

    Raises:
        InvalidInput: There is one, and it has another shape or dtype.
        Busy: A process was stopped in the middle of taking the name.
        Frozen, ReadOnly: With ``write``: there is one, and it cannot be written.
    """
    deadline = time.monotonic() + _TIMEOUT
    while True:
        try:
            return _same(find(name, write=write), shape, nbytes, dtype)
        except NotFound:
            pass
        try:
            return create(name, shape=shape, nbytes=nbytes, dtype=dtype, exclusive=True, **asked)
        except NameTaken:
            # Another process was faster; or it has a name that cannot be opened.
            if time.monotonic() > deadline:
                raise


def _same(area: Area, shape: Any, nbytes: Any, dtype: Any) -> Area:
    """What was opened, if it is what was asked for."""
    wanted = dtype_of("u1" if dtype is None else dtype)
    dims = shape_of(shape) if shape is not None else _items(nbytes, wanted) if nbytes is not None else area.shape
    if (area.shape, area.dtype) == (dims, wanted) or (shape is None and nbytes is None and dtype is None):
        return area
    found = f"shape {area.shape} and dtype {area.dtype}"
    name = area.name
    area.close()
    raise InvalidInput(
        f"cannot open or create area {name!r} with shape {dims} and dtype {wanted}: it is there, with {found}",
        remedy="ask for what is there (`areas.find`), or for another name",
    )


def wait(
    name: str | bytes,
    timeout: float | None = None,
    *,
    write: bool = False,
    keep_name: bool = True,
    dtype: Any = None,
    shape: Shape | None = None,
) -> Area:
    """The same as :func:`find`, once there is one. Ctrl-C ends it.

    Args:
        timeout: Seconds to wait; ``None`` for as long as it takes.

    Raises:
        TimedOut: There was none in time.
    """
    holding = _areas.wait(name_of(name), timeout, write=write, keep_name=keep_name)
    return of_note(holding, "open area", dtype, shape, name)
