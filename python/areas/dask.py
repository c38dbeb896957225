"""Dask passes arrays in areas as handles within a host, and as bytes to others.

>>> import areas.dask
>>> areas.dask.register()

Once in the client, before it connects, and in the workers: ``dask worker --preload areas.dask …``,
or for clusters that the client starts ``dask.config.set({"distributed.worker.preload":
["areas.dask"]})``.

- An array over a named area that goes to a process with the same registry (:envvar:`AREAS_DIR`,
  user, pid namespace, machine) goes as a handle of some bytes: it is the same memory there,
  read-only, as Dask wants what tasks are given. Whoever scatters it holds the area.
- To any other process its bytes go, by Dask's own transport, as any array's do. Processes announce
  to each other where they are when they connect; one that has not registered gets bytes.
- What goes through the scheduler goes by its bytes: it passes on what it has not opened, to workers
  on any host. So scatter with ``direct=True``, and gather with it. Between workers data goes
  directly.

Needs distributed. What is an argument of a task, and was not scattered, is pickled by Dask, and so
is a handle wherever it goes.
"""

from __future__ import annotations

import functools
import os
from typing import Any

import numpy as np
from distributed.comm.core import Comm
from distributed.protocol.numpy import deserialize_numpy_ndarray, serialize_numpy_ndarray
from distributed.protocol.serialize import dask_deserialize, dask_serialize

from . import _areas
from ._array import AreaArray, memory_of
from ._handles import _handle, _machine, _open

__all__ = ["dask_setup", "register"]

#: What a process sends of itself under this key as it connects.
_KEY = "areas-host"
#: What an array's header has where it is a handle.
_HANDLE = "areas-handle"


def register() -> None:
    """Has Dask pass arrays in areas as handles, where that can be. May be called again."""
    # Dask has types, but not for all of this.
    serializers: Any = dask_serialize
    deserializers: Any = dask_deserialize
    connection: Any = Comm
    serializers.register(AreaArray, _dumps)
    deserializers.register(AreaArray, _loads)
    if not hasattr(connection.handshake_info, "_areas"):
        connection.handshake_info = _telling(connection.handshake_info)


def dask_setup(_worker: Any) -> None:
    """As Dask calls it in a worker that preloads this module."""
    register()


def _telling(handshake_info: Any) -> Any:
    """What a process says of itself, and where its areas are found."""

    @functools.wraps(handshake_info)
    def announcing(comm: Comm) -> dict[str, Any]:
        said: dict[str, Any] = handshake_info(comm)
        # A scheduler does not open what it reads, and passes it on, to any host: it sends nothing.
        return {**said, _KEY: _host()} if comm.deserialize else said

    announcing._areas = True  # type: ignore[attr-defined]
    return announcing


def _host() -> str | None:
    """Where handles of this process can be opened: in the same registry, seen from the same pid
    namespace. ``None`` without a registry."""
    path = _areas.registry_path()
    if path is None:
        return None
    boot, namespace = _machine()
    folder = os.stat(path)
    return f"{boot.hex()}-{namespace}-{folder.st_dev}-{folder.st_ino}"


def _opens_handles(context: Any) -> bool:
    """Whether the receiver opens it, and can: it has sent where it is, and is here."""
    theirs = ((context or {}).get("recipient") or {}).get(_KEY)
    return theirs is not None and theirs == _host()


def _dumps(array: AreaArray, context: Any = None) -> tuple[dict[str, Any], list[Any]]:
    memory = memory_of(array)
    if memory is not None and memory.handle is None and memory.id is not None and _opens_handles(context):
        view = array.view()
        view.flags.writeable = False
        return {_HANDLE: _handle(view, memory)}, []
    header, frames = serialize_numpy_ndarray(array.view(np.ndarray), context=context)
    return header, frames


def _loads(header: dict[str, Any], frames: list[Any]) -> Any:
    handle = header.get(_HANDLE)
    return deserialize_numpy_ndarray(header, frames) if handle is None else _open(handle)
