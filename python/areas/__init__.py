"""Memory areas on Linux: shared, placed, frozen and measured, as NumPy arrays.

>>> import areas
>>> a = areas.create("doc: frames", shape=(3, 4), dtype="f8")
>>> a.array[1, 2] = 42.0
>>> areas.find("doc: frames").array[1, 2]
np.float64(42.0)
"""

from __future__ import annotations

import importlib
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._area import Area as Area
    from ._array import AreaArray as AreaArray
    from ._areas import Memory as Memory
    from ._errors import (
        AddressInUse as AddressInUse,
        Busy as Busy,
        Closed as Closed,
        Error as Error,
        Frozen as Frozen,
        HolderGone as HolderGone,
        InvalidInput as InvalidInput,
        Limit as Limit,
        NameTaken as NameTaken,
        NoMemory as NoMemory,
        NodeNotAllowed as NodeNotAllowed,
        NoSuchProcess as NoSuchProcess,
        NotFound as NotFound,
        NotPermitted as NotPermitted,
        OtherMachine as OtherMachine,
        OtherPidNamespace as OtherPidNamespace,
        OutOfRange as OutOfRange,
        OwnerDied as OwnerDied,
        ReadOnly as ReadOnly,
        RegistryError as RegistryError,
        TimedOut as TimedOut,
        Unreadable as Unreadable,
        Unsupported as Unsupported,
    )
    from ._flight import Server as Server, fetch as fetch, serve as serve
    from ._gate import Answer as Answer, Offer as Offer, offer as offer, take as take
    from ._handles import by_value as by_value, receive as receive, send as send
    from ._listing import (
        AreaInfo as AreaInfo,
        Listing as Listing,
        NodeInfo as NodeInfo,
        UnreadableProcess as UnreadableProcess,
        nodes as nodes,
        list_areas,
    )
    from ._making import create as create, find as find, open_or_create as open_or_create, put as put, wait as wait
    from ._measured import (
        Fallback as Fallback,
        Granted as Granted,
        Holder as Holder,
        Migration as Migration,
        Misplaced as Misplaced,
        Residency as Residency,
        Run as Run,
        UnmovedRange as UnmovedRange,
        Verification as Verification,
    )
    from ._slab import Slab as Slab
    from ._sync import Event as Event, Mutex as Mutex, SeqLock as SeqLock, Writer as Writer
    from .shared_memory import (
        ShareableList as ShareableList,
        SharedMemory as SharedMemory,
        SharedMemoryManager as SharedMemoryManager,
    )

    list = list_areas

#: Where each public name is: modules are imported as they are first asked for, so that `import areas` costs next to nothing.
_HOMES = {
    "_area": "Area",
    "_array": "AreaArray",
    "_areas": "Memory",
    "_errors": (
        "AddressInUse Busy Closed Error Frozen HolderGone InvalidInput Limit NameTaken NoMemory "
        "NodeNotAllowed NoSuchProcess NotFound NotPermitted OtherMachine OtherPidNamespace OutOfRange OwnerDied "
        "ReadOnly RegistryError TimedOut Unreadable Unsupported"
    ),
    "_flight": "Server fetch serve",
    "_gate": "Answer Offer offer take",
    "_handles": "by_value receive send",
    "_listing": "AreaInfo Listing NodeInfo UnreadableProcess nodes",
    "_making": "create find open_or_create put wait",
    "_slab": "Slab",
    "_sync": "Event Mutex SeqLock Writer",
    "shared_memory": "ShareableList SharedMemory SharedMemoryManager",
    "_measured": "Fallback Granted Holder Migration Misplaced Residency Run UnmovedRange Verification",
}

#: Whose name here is another one than at home.
_CALLED = {"list": ("_listing", "list_areas")}

#: Names from before version 0.2, for one version more.
_RENAMED = {"Stayed": "UnmovedRange"}

#: For handles.
_PRIVATE = {"_open": "_handles", "_open_area": "_handles"}

#: Submodules that are public.
_MODULES = ("arrow", "dask", "joblib", "shared_memory", "torch")

_FOUND = {name: home for home, names in _HOMES.items() for name in names.split()}

__all__ = sorted([*_FOUND, *_CALLED])


def __getattr__(name: str) -> Any:
    if name in _RENAMED:
        warnings.warn(f"areas.{name} is areas.{_RENAMED[name]} now", DeprecationWarning, stacklevel=2)
        return __getattr__(_RENAMED[name])
    home, called = _CALLED.get(name) or (_FOUND.get(name) or _PRIVATE.get(name), name)
    if home is None:
        if name in _MODULES:
            return importlib.import_module(f"{__name__}.{name}")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{home}"), called)
    globals()[name] = value
    return value


def __dir__() -> Sequence[str]:
    return sorted({*globals(), *__all__, *_MODULES})
