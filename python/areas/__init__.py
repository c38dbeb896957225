"""Memory areas on Linux: shared, placed, frozen and measured, as NumPy arrays.

>>> import areas
>>> a = areas.create("doc: frames", shape=(3, 4), dtype="f8")
>>> a.array[1, 2] = 42.0
>>> areas.find("doc: frames").array[1, 2]
np.float64(42.0)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._area import (
        Area as Area,
        AreaInfo as AreaInfo,
        Listing as Listing,
        NodeInfo as NodeInfo,
        UnreadableProcess as UnreadableProcess,
        create as create,
        find as find,
        list_areas as list,
        nodes as nodes,
        put as put,
        wait as wait,
    )
    from ._array import AreaArray as AreaArray
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
        OutOfRange as OutOfRange,
        ReadOnly as ReadOnly,
        RegistryError as RegistryError,
        TimedOut as TimedOut,
        Unreadable as Unreadable,
        Unsupported as Unsupported,
    )

#: Where each public name is: modules are imported as they are first asked for.
_HOMES = {
    "_area": ("Area", "AreaInfo", "Listing", "NodeInfo", "UnreadableProcess", "create", "find", "nodes", "put", "wait"),
    "_array": ("AreaArray",),
    "_errors": (
        "AddressInUse", "Busy", "Closed", "Error", "Frozen", "HolderGone", "InvalidInput", "Limit", "NameTaken", "NoMemory",
        "NodeNotAllowed", "NoSuchProcess", "NotFound", "NotPermitted", "OutOfRange", "ReadOnly", "RegistryError",
        "TimedOut", "Unreadable", "Unsupported",
    ),
}  # fmt: skip

#: Submodules that are public.
_MODULES = ("arrow", "joblib", "shared_memory", "torch")

_FOUND = {name: home for home, names in _HOMES.items() for name in names}

#: Whose name here is another one than at home.
_CALLED = {"list": ("_area", "list_areas")}

__all__ = sorted([*_FOUND, *_CALLED])


def __getattr__(name: str) -> Any:
    home, called = _CALLED.get(name) or (_FOUND.get(name), name)
    if home is None:
        if name in _MODULES:
            return importlib.import_module(f"{__name__}.{name}")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{home}"), called)
    globals()[name] = value
    return value


def __dir__() -> Sequence[str]:
    return sorted({*globals(), *__all__, *_MODULES})
