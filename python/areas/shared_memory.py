"""Shared memory under a name: a drop-in for ``multiprocessing.shared_memory``, over areas.

``SharedMemory``, ``ShareableList`` and ``SharedMemoryManager`` are used as those of the standard
library. What differs:

* **A segment goes with its last holder**, however that one ends, ``kill -9`` included. Nothing is
  left behind, there is no tracker process, and no process destroys a segment that others still use.
  So a process has to hold it: an attacher that comes after the last holder has gone gets
  ``FileNotFoundError``.
* **Memory is freed by reference.** After ``close()`` every view that was taken of ``buf``
  (memoryviews, NumPy arrays) stays valid, and the memory goes with the last of them. ``close()``
  never raises ``BufferError``, and never leads to a segmentation fault.
* ``/dev/shm`` limits nothing: it may be small or read-only.
* ``shm.area`` is the area: where its pages are, freezing, growing, placement.

The rest is in ``docs/python.md``.
"""

from __future__ import annotations

import errno
import importlib.util
import os
import secrets
import struct
import sys
import types
from functools import partial
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING, Any

import areas

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["ShareableList", "SharedMemory", "SharedMemoryManager", "install"]

# Names that code outside of the standard library asks for, tests of CPython's among it.
_USE_POSIX = True
_O_CREX = os.O_CREAT | os.O_EXCL
_SHM_SAFE_NAME_LENGTH = 14
_SHM_NAME_PREFIX = "/psm_"


def _make_filename() -> str:
    """A random name, with the slash that names of POSIX segments begin with."""
    return _SHM_NAME_PREFIX + secrets.token_hex(4)


class SharedMemory:
    """A block of shared memory with a name: makes a new one, or attaches to one that a process
    holds.

    It exists as long as any process holds it, and no longer.

    Parameters
    ----------
    name:
        Up to 255 bytes. Without one, a new block gets a random name, ``psm_`` and eight hexadecimal
        digits.
    create:
        Make a new block. The name must be free.
    size:
        In bytes, of a new block. Otherwise it is ignored.
    track:
        Accepted, and without a meaning: there is no tracker.

    Raises
    ------
    FileExistsError:
        A new block was asked for, and the name is taken.
    FileNotFoundError:
        No process holds a block of this name.
    ValueError:
        The size is not positive, the name is missing, or it holds a NUL.
    """

    # What makes `close` and `unlink` harmless where `__init__` failed.
    _name: str | None = None
    _area: areas.Area | None = None
    _buf: memoryview | None = None
    _size = 0
    _flags = os.O_RDWR
    _mode = 0o600
    _prepend_leading_slash = True
    _track = True
    # Whether the block cannot be found any more because it was unlinked, as known when it was
    # closed.
    _unlinked = False
    # Which memory it was.
    _memory: int | None = None

    def __init__(self, name: str | None = None, create: bool = False, size: int = 0, *, track: bool = True) -> None:
        if not size >= 0:
            raise ValueError(f"cannot make shared memory of {size} bytes: 'size' must be a positive integer")
        if create:
            self._flags = _O_CREX | os.O_RDWR
            if size == 0:
                raise ValueError("cannot make shared memory of 0 bytes: 'size' must be a positive number")
        if name is None and not self._flags & os.O_EXCL:
            raise ValueError("'name' can only be None if create=True")
        self._track = track
        if name is None:
            self._area = self._under_a_new_name(size)
        else:
            self._name = f"/{name}" if self._prepend_leading_slash else name
            self._area = self._under(self.name, size)
        self._size = self._area.nbytes
        self._buf = self._area.buf

    def _under_a_new_name(self, size: int) -> areas.Area:
        while True:
            name = _make_filename()
            try:
                area = _create(_without_slash(name), size)
            except FileExistsError:
                continue
            self._name = name
            return area

    def _under(self, name: str, size: int) -> areas.Area:
        if self._flags & os.O_EXCL:
            return _create(name, size)
        while True:
            try:
                return _attach(name)
            except FileNotFoundError:
                if not self._flags & os.O_CREAT or size == 0:
                    raise
            try:
                return _create(name, size)
            except FileExistsError:
                # Another process made it between the two.
                continue

    def __del__(self) -> None:
        try:
            self.close()
        except OSError:
            pass

    def __reduce__(self) -> tuple[Any, ...]:
        return self.__class__, (self.name, False, self.size)

    def __repr__(self) -> str:
        return f"{self.__class__.__name__}({self.name!r}, size={self.size})"

    @property
    def buf(self) -> memoryview:
        """The bytes: writable, but where the block is frozen. None after ``close()``; views taken
        before stay valid."""
        # None is for programs with a mistake.
        return self._buf  # type: ignore[return-value]

    @property
    def name(self) -> str:
        """The name under which other processes attach."""
        return _without_slash(self._name or "")

    @property
    def size(self) -> int:
        """In bytes: what was asked for when the block was made."""
        return self._size

    @property
    def area(self) -> areas.Area | None:
        """The area behind it: residency, placement, freezing. None after ``close()``."""
        return self._area

    def close(self) -> None:
        """Releases the block. It is freed once no process holds it, and no view of it is left.

        It is still there for others who hold it, under its name. Views taken of ``buf`` stay valid.
        """
        area, self._area, self._buf = self._area, None, None
        if area is not None:
            with area:
                self._unlinked = _is_retired(area)
                self._memory = _object(area)

    def unlink(self) -> None:
        """Takes the name away for all: no process can attach any more, and holders of the block
        keep it.

        After ``close()`` a block that went with its last holder is gone already, which is what was
        wanted.

        Raises
        ------
        FileNotFoundError:
            It was unlinked before.
        """
        if not self._name:
            return
        if "\0" in self._name:
            raise ValueError(f"cannot unlink {self._name!r}: the name holds a NUL")
        if self._unlinked or not self._retire():
            raise FileNotFoundError(
                errno.ENOENT, "cannot unlink shared memory: it was unlinked before, and has no name any more", self.name
            )

    def _retire(self) -> bool:
        """Whether it had a name until now."""
        if self._area is not None:
            return _retire(self._area)
        self._unlinked = True
        try:
            found = _attach(self.name)
        except FileNotFoundError:
            # It went with its last holder.
            return True
        with found:
            # Another block of that name is none of ours.
            return _object(found) != self._memory or _retire(found)


def _without_slash(name: str) -> str:
    return name[1:] if name.startswith("/") else name


def _standard() -> types.ModuleType:
    """The interpreter's own module, an instance of our own in which `SharedMemory` is ours.

    So lists are laid out, read and written by the code that comes with this Python.
    """
    import multiprocessing

    # Not through sys.modules: `install` puts this module there.
    spec = PathFinder.find_spec("multiprocessing.shared_memory", multiprocessing.__path__)
    if spec is None or spec.loader is None:
        raise ImportError("this Python has no multiprocessing.shared_memory")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.SharedMemory = SharedMemory  # type: ignore[attr-defined]
    return module


_List: Any = _standard().ShareableList


class ShareableList(_List):  # type: ignore[misc]
    """A list of fixed length in shared memory, of int, float, bool, str, bytes and None.

    It is laid out, read and written by the standard library's own code; only the memory is an
    area's. An item can be set to any value that fits where the first one was.

    Parameters
    ----------
    sequence:
        The items of a new list.
    name:
        Of the new list; or, without a sequence, of the one to attach to.

    Raises
    ------
    ValueError:
        The block of that name holds no such list.
    """

    shm: SharedMemory

    def __init__(self, sequence: Iterable[Any] | None = None, *, name: str | None = None) -> None:
        super().__init__(sequence, name=name)

    def __len__(self) -> int:
        # Whoever has the block can write there. A list's smallest item takes an offset, eight
        # bytes, a format and a code.
        (length,) = struct.unpack_from("q", self.shm.buf, 0) if self.shm.size >= 16 else (-1,)
        if not 0 <= length <= (self.shm.size - 16) // (8 + 8 + 1):
            raise ValueError(
                f"shared memory {self.shm.name!r} holds no list: it would have {length} items in {self.shm.size} bytes"
            )
        return int(length)

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(self.__class__, name=self.shm.name), ()


def __getattr__(name: str) -> Any:
    # The module of managers takes as long to import as all of areas.
    if name in ("SharedMemoryManager", "SharedMemoryServer"):
        from areas import _manager

        return getattr(_manager, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


if TYPE_CHECKING:
    from areas._manager import SharedMemoryManager


def install() -> None:
    """Has ``multiprocessing.shared_memory`` and ``multiprocessing.managers`` mean these classes, in
    this process and in those that it forks.

    For code that cannot be changed. What was imported from there before keeps the standard
    library's. A process that is spawned does so for itself: call it where the main module is
    imported.
    """
    import multiprocessing
    import multiprocessing.managers as managers

    from areas import _manager

    here = sys.modules[__name__]
    sys.modules["multiprocessing.shared_memory"] = here
    multiprocessing.shared_memory = here
    for name, value in {
        "shared_memory": here,
        "SharedMemoryManager": _manager.SharedMemoryManager,
        "SharedMemoryServer": _manager.SharedMemoryServer,
    }.items():
        setattr(managers, name, value)


# What this module takes of the library, in one place.


def _create(name: str, size: int) -> areas.Area:
    """A new block under a name that must be free."""
    return areas.create(name, nbytes=size, exclusive=True)


def _attach(name: str) -> areas.Area:
    """The block of that name, for writing; for reading where it is frozen."""
    try:
        return areas.find(name, write=True)
    except areas.Frozen:
        return areas.find(name)


def _is_retired(area: areas.Area) -> bool:
    """Whether it was unlinked."""
    return area._held("look whether it is unlinked").retired


def _retire(area: areas.Area) -> bool:
    """Takes its name away for all. Whether it had one until now."""
    return area._held("unlink it").retire()


def _object(area: areas.Area) -> int:
    """Which memory it is: equal for all holders of the same."""
    return area._held("get its memory").inode
