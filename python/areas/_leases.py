"""Who holds which block of a slab: known by the kernel, and by nobody else, so that a process that is killed holds nothing.

Beside a slab lies a file in memory, of no bytes, on which locks lie: one over a block's bytes for each process that has an array there and is
not the slab's own. They are locks of open files (``F_OFD_SETLK``): they go with the last descriptor, however its process ends. To ask for a
block is one system call.

**Fork**: a child has its parent's arrays. The parent opens the file once more before it forks, and locks there what it holds: that open file is
the child's.
"""

from __future__ import annotations

import fcntl
import os
import stat
import struct
import threading

from ._errors import HolderGone, Unreadable

#: ``struct flock``: type, whence, start, length, process.
_FLOCK = struct.Struct("hhqqi4x")


def _lock(descriptor: int, kind: int, start: int, length: int) -> None:
    fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _FLOCK.pack(kind, os.SEEK_SET, start, length, 0))


class Leases:
    """This process's open file of one slab's leases, and what it holds there, by the block's offset."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._held: dict[int, list[int]] = {}
        # (A token can go while its own thread is in here.)
        self._guard = threading.RLock()
        self._for_child: int | None = None

    @classmethod
    def create(cls) -> Leases:
        """The slab's own: nobody holds anything yet."""
        return cls(os.memfd_create("areas: leases", os.MFD_CLOEXEC))

    @classmethod
    def open(cls, pid: int, number: int, inode: int) -> Leases:
        """Those of another process: its descriptor of that number, if it is that file."""
        try:
            # Looked at before it is opened for real: it may be anything by now.
            looked = os.open(f"/proc/{pid}/fd/{number}", os.O_PATH | os.O_CLOEXEC)
            try:
                found = os.stat(looked)
                if not stat.S_ISREG(found.st_mode) or found.st_ino != inode or found.st_nlink != 0:
                    raise FileNotFoundError(f"descriptor {number} of process {pid} is another file by now")
                descriptor = os.open(f"/proc/self/fd/{looked}", os.O_RDWR | os.O_CLOEXEC)
            finally:
                os.close(looked)
        except PermissionError as error:
            raise Unreadable(
                f"cannot open a handle of an array in a slab: this process may not look into process {pid}: {error}",
                remedy="slabs are for processes of one user; send the array by its bytes: `with areas.by_value(): …`",
            ) from None
        except FileNotFoundError as error:
            raise HolderGone(
                f"cannot open a handle of an array in a slab: its process {pid} has the slab no more: {error}",
                remedy="keep the slab (`areas.Slab`) in the process that made it until the other side has opened the handle",
            ) from None
        return cls(descriptor)

    @property
    def number(self) -> int:
        """The descriptor."""
        return self._descriptor

    @property
    def inode(self) -> int:
        """Which file it is."""
        return os.fstat(self._descriptor).st_ino

    def acquire(self, offset: int, nbytes: int) -> None:
        """Holds a block. Each call wants its :meth:`release`."""
        with self._guard:
            held = self._held.setdefault(offset, [0, nbytes])
            held[0] += 1
            if held[0] > 1:
                return
            try:
                _lock(self._descriptor, fcntl.F_RDLCK, offset, nbytes)
            except BaseException:
                self._held.pop(offset)
                raise

    def release(self, offset: int) -> None:
        """Holds it no more."""
        with self._guard:
            held = self._held.get(offset)
            if held is None:
                return
            held[0] -= 1
            if held[0] == 0:
                del self._held[offset]
                if self._descriptor >= 0:
                    _lock(self._descriptor, fcntl.F_UNLCK, offset, held[1])

    @property
    def any(self) -> bool:
        """Whether this process holds anything."""
        return bool(self._held)

    def others(self, offset: int, nbytes: int) -> bool:
        """Whether another open file holds any of these bytes."""
        asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, offset, nbytes, 0)
        answer = fcntl.fcntl(self._descriptor, fcntl.F_OFD_GETLK, asked)
        return bool(_FLOCK.unpack(answer)[0] != fcntl.F_UNLCK)

    def close(self) -> None:
        """Closes it: all is given up."""
        with self._guard:
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1

    def __del__(self) -> None:
        self.close()

    def before_fork(self, blocks: dict[int, int]) -> None:
        """Takes what the child will hold: what this process holds, and ``blocks`` (offset, bytes)."""
        # Until it has forked, nothing changes.
        self._guard.acquire()
        held = {offset: one[1] for offset, one in self._held.items()} | blocks
        if self._descriptor < 0 or not held:
            return
        self._for_child = os.open(f"/proc/self/fd/{self._descriptor}", os.O_RDWR | os.O_CLOEXEC)
        for offset, nbytes in held.items():
            _lock(self._for_child, fcntl.F_RDLCK, offset, nbytes)

    def after_in_parent(self) -> None:
        """The child has the descriptor: its locks stay."""
        if self._for_child is not None:
            os.close(self._for_child)
            self._for_child = None
        self._guard.release()

    def after_in_child(self, blocks: dict[int, list[int]]) -> None:
        """What was taken for the child is its own; the parent's is not. ``blocks``: as ``_held`` has them."""
        self._guard = threading.RLock()
        if self._for_child is None:
            return
        os.close(self._descriptor)
        self._descriptor, self._for_child = self._for_child, None
        self._held.update(blocks)
