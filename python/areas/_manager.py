"""A manager of shared memory: a process that holds the blocks made through it, as long as it lives.

Apart from `shared_memory`, because `multiprocessing.managers` is slow to import.
"""

from __future__ import annotations

import multiprocessing.managers as _managers
from collections.abc import Iterable
from typing import Any

from areas.shared_memory import ShareableList, SharedMemory

# A manager's methods have the names of the classes.
_Block = SharedMemory
_Items = ShareableList
# The standard library's, even where `install` puts ours in their place later.
_Server: Any = _managers.SharedMemoryServer
_Manager: Any = _managers.SharedMemoryManager


class _Blocks:
    """The blocks that a manager's process holds: by holding them it keeps them alive, though their
    makers go."""

    def __init__(self) -> None:
        self._held: dict[str, _Block] = {}

    @property
    def segment_names(self) -> list[str]:
        return list(self._held)

    def register_segment(self, name: str) -> None:
        self._held[name] = _Block(name)

    def destroy_segment(self, name: str) -> None:
        block = self._held.pop(name)
        try:
            block.unlink()
        except FileNotFoundError:
            # Who unlinked it meant the same.
            pass
        block.close()

    def unlink(self) -> None:
        for name in self.segment_names:
            self.destroy_segment(name)


class SharedMemoryServer(_Server):  # type: ignore[misc]
    """The manager's process."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # The tracker that it has made has nothing yet.
        self.shared_memory_context = _Blocks()


class SharedMemoryManager(_Manager):  # type: ignore[misc]
    """Makes blocks and lists that live as long as the manager's process, or until ``shutdown``,
    whatever becomes of their makers.

    Used as ``multiprocessing.managers.SharedMemoryManager``. If its process is killed, blocks that
    others hold stay with those; nothing is left of the others.
    """

    _Server = SharedMemoryServer

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # The standard library's starts its tracker here.
        _managers.BaseManager.__init__(self, *args, **kwargs)

    def SharedMemory(self, size: int) -> _Block:
        """A new block of `size` bytes, which the manager holds, too."""
        with self._Client(self._address, authkey=self._authkey) as connection:
            block = _Block(None, create=True, size=size)
            self._track(connection, block)
        return block

    def ShareableList(self, sequence: Iterable[Any]) -> _Items:
        """A new list of these items, which the manager holds, too."""
        with self._Client(self._address, authkey=self._authkey) as connection:
            items = _Items(sequence)
            self._track(connection, items.shm)
        return items

    @staticmethod
    def _track(connection: Any, block: _Block) -> None:
        try:
            _managers.dispatch(connection, None, "track_segment", (block.name,))  # type: ignore[attr-defined]
        except BaseException:
            block.unlink()
            raise
