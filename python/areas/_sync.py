"""Locks that live in areas: a mutex, an event, a sequence lock. They hold for all processes that
have the memory, in Rust and C, too.

Zeros are each of them as it begins: a new area has them everywhere, and no process has to come
first.
"""

from __future__ import annotations

import operator
import os
import threading
import weakref
from typing import TYPE_CHECKING, Any, Literal

from . import _areas
from ._errors import OwnerDied

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._area import Area

#: What has an area's memory for the locks in it, by the holding, which it keeps: one for all locks of it.
_words: weakref.WeakValueDictionary[int, _areas.Words] = weakref.WeakValueDictionary()


def _words_of(area: Area, what: str) -> _areas.Words:
    holding = area._held(what)
    words = _words.get(id(holding))
    if words is None:
        words = _words[id(holding)] = _areas.Words(holding)
    return words


class _Locked(threading.local):
    """What a thread has locked keeps the memory: with the last lock object its marks would go, as
    if it had died."""

    def __init__(self) -> None:
        self.words: list[_areas.Words] = []


_locked = _Locked()
# A child owns nothing.
os.register_at_fork(after_in_child=lambda: _locked.words.clear())


class Mutex:
    """A mutex in 8 bytes of an area, for the threads of all processes that have it open for
    writing.

    The owner is a thread. If it dies (``kill -9``, a crash, the end of the thread), the kernel says
    so to the next one to lock: no thread waits for the dead. What the mutex guards may be half
    changed then. So either there is a function that repairs it::

        mutex = areas.Mutex(area, 0, repair=make_totals_right)
        with mutex:
            ...

    or locking raises :class:`OwnerDied`, and the mutex is not locked; so it does for all until one
    repairs.

    It is not recursive, and a forked child does not own what its parent has locked. As long as this
    object lives, or the mutex is locked by this process, the area counts as one that may be
    written: it cannot be frozen, and its memory stays.

    Args:
        area: Open for writing, of base pages.
        offset: Where it is, in bytes: a multiple of 8.
        repair: Called, with the mutex locked, where an owner died. When it returns, all is well
            again; what it raises leaves the mutex unlocked and the next one notified.

    Raises:
        OutOfRange: It is beyond the area's bytes.
        InvalidInput: The offset is not a multiple of 8.
        ReadOnly, Frozen: The area was opened for reading; it is frozen.
        Unsupported: The area is made of hugetlb pages.
    """

    __slots__ = ("__weakref__", "_offset", "_repair", "_words")

    #: Bytes that it takes.
    NBYTES = 8

    def __init__(self, area: Area, offset: int = 0, *, repair: Callable[[], object] | None = None) -> None:
        self._words = _words_of(area, "use a mutex")
        self._offset = operator.index(offset)
        self._repair = repair
        self._words.check_mutex(self._offset)

    def lock(self, timeout: float | None = None) -> None:
        """Locks it. Others run in that time, and Ctrl-C ends the wait.

        Args:
            timeout: Seconds to wait; ``None`` for as long as it takes.

        Raises:
            TimedOut: Its owner lives, stopped or not, and did not unlock it in time.
            OwnerDied: Its owner died with it, and there is nothing to repair with. It is not
                locked.
            Busy: This thread has it already.
            InvalidInput: The word there is not a mutex's.
        """
        kept = _locked.words
        kept.append(self._words)
        try:
            died = self._words.lock(self._offset, timeout)
        except BaseException:
            kept.remove(self._words)
            raise
        if not died:
            return
        # From here on it is ours, and whatever comes must not leave it so.
        try:
            if self._repair is None:
                raise OwnerDied(
                    f"cannot lock the mutex at {self._offset}: an owner of it died, and what it guards may be half changed",
                    remedy="make it consistent: `areas.Mutex(area, offset, repair=function)`",
                )
            self._repair()
            self._words.mark_consistent(self._offset)
        except BaseException:
            self.unlock()
            raise

    def unlock(self) -> None:
        """Unlocks it.

        Raises:
            NotPermitted: This thread does not have it; or another process has written over it.
        """
        self._words.unlock(self._offset)
        if self._words in _locked.words:
            _locked.words.remove(self._words)

    @property
    def owner(self) -> Literal["unlocked", "this thread", "living", "dead"]:
        """Its owner at this moment."""
        return self._words.owner(self._offset)

    def __enter__(self) -> Mutex:
        self.lock()
        return self

    def __exit__(self, *_: object) -> None:
        self.unlock()

    def __repr__(self) -> str:
        return f"<areas.Mutex at {self._offset}: {self.owner}>"


class Event:
    """A counter of events in 4 bytes of an area: who signals adds 1 and wakes all who wait.

    Who waits says which count it has seen, so that nothing is missed between the look and the
    sleep::

        news = areas.Event(areas.find("frames"))       # for reading is enough
        seen = news.count
        while True:
            seen = news.wait(seen)

    What was written before a signal is there behind it. A kill leaves no waiters asleep. It works
    in all areas that others write, those in hugetlb pages, too.

    Args:
        area: Open for writing where it is to be signalled.
        offset: Where it is, in bytes: a multiple of 4.

    Raises:
        OutOfRange: It is beyond the area's bytes.
        InvalidInput: The offset is not a multiple of 4.
        Frozen: The area is frozen: no process can signal.
    """

    __slots__ = ("__weakref__", "_offset", "_words")

    #: Bytes that it takes.
    NBYTES = 4

    def __init__(self, area: Area, offset: int = 0) -> None:
        self._words = _words_of(area, "use an event")
        self._offset = operator.index(offset)
        self._words.count(self._offset)

    @property
    def count(self) -> int:
        """How many signals there were, modulo 2^32."""
        return self._words.count(self._offset)

    def signal(self) -> None:
        """Adds 1, and wakes all who wait, in all processes.

        Raises:
            ReadOnly: The area was opened for reading.
        """
        self._words.signal(self._offset)

    def wait(self, seen: int, timeout: float | None = None) -> int:
        """Waits until the count is another one than ``seen``: the count then. Others run in that
        time, and Ctrl-C ends the wait.

        Args:
            seen: The last count that is known.
            timeout: Seconds to wait; ``None`` for as long as it takes.

        Raises:
            TimedOut: No process signalled in time.
            Frozen: The area was frozen concurrently: no process can signal any more.
        """
        return self._words.wait(self._offset, seen, timeout)

    def __repr__(self) -> str:
        return f"<areas.Event at {self._offset}: {self.count}>"


class SeqLock:
    """Some bytes that one process writes and many read, all of one write or not at all, and none
    waits for another.

    It takes 16 bytes more than what is in it. Readers need the right to read only::

        with areas.SeqLock(area, 0, 24).writer() as position:
            position.write(np.array([1.0, 2.0, 3.0]))
        ...
        version, data = areas.SeqLock(areas.find("position"), 0, 24).read()

    Args:
        area: Of base pages; open for writing where it is to be written.
        offset: Where it is, in bytes: a multiple of 8.
        nbytes: How many bytes are in it: the same for all who use it.

    Raises:
        OutOfRange: It reaches beyond the area's bytes.
        InvalidInput: The offset is not a multiple of 8.
        Frozen: The area is frozen.
        Unsupported: The area is made of hugetlb pages.
    """

    __slots__ = ("__weakref__", "_nbytes", "_offset", "_words")

    #: Bytes that it takes besides what is in it.
    HEADER = 16

    def __init__(self, area: Area, offset: int, nbytes: int) -> None:
        self._words = _words_of(area, "use a sequence lock")
        self._offset, self._nbytes = operator.index(offset), operator.index(nbytes)
        self._words.check_seqlock(self._offset, self._nbytes)

    @property
    def nbytes(self) -> int:
        """How many bytes are in it."""
        return self._nbytes

    @property
    def has_writer(self) -> bool:
        """Whether it has a writer that lives."""
        return self._words.has_writer(self._offset, self._nbytes)

    def read(self) -> tuple[int, bytes]:
        """What was written last, all of one write, and how often it was written until then.

        Raises:
            Busy: No copy was whole in a thousand attempts: it is written all the time, or its
                writer was stopped in the middle.
            OwnerDied: Its writer died in the middle of a write, and none has written since.
        """
        return self._words.read(self._offset, self._nbytes)

    def writer(self) -> Writer:
        """Becomes its writer, until :meth:`Writer.close`.

        Raises:
            Busy: It has a writer, which lives.
            ReadOnly: The area was opened for reading.
            InvalidInput: The words there are not a sequence lock's.
        """
        return Writer(self._words.writer(self._offset, self._nbytes))

    def __repr__(self) -> str:
        return f"<areas.SeqLock at {self._offset} of {self._nbytes} bytes>"


class Writer:
    """The writer of a sequence lock: :meth:`SeqLock.writer` makes one. As a context manager it ends
    with the block.

    It is the process's: any of its threads may write, one at a time. In a forked child it is the
    parent's.
    """

    __slots__ = ("__weakref__", "_writing")

    def __init__(self, writing: _areas.Writing) -> None:
        self._writing = writing

    def write(self, data: Any) -> None:
        """Writes all that is in it: bytes, or an array or another buffer of as many bytes.

        Raises:
            InvalidInput: It is another number of bytes.
            NotPermitted: In a forked child; or another process has written over the writer's word.
            Busy: It was closed, or another thread is just writing.
        """
        self._writing.write(data if type(data) is bytes else memoryview(data).tobytes())

    @property
    def interrupted(self) -> bool:
        """Whether the writer before died in the middle of a write, and nothing was written
        since."""
        return self._writing.interrupted

    def close(self) -> None:
        """Lets another one come. May be called twice."""
        self._writing.end()

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
