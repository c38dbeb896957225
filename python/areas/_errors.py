"""Errors: what failed, with which values, what the kernel said (``errno``), and what to do about it
(``remedy``)."""

from __future__ import annotations

import errno as _errno
import os


class Error(OSError):
    """What every call of this package raises where something cannot be had.

    ``str(error)`` is one line: what was tried, with which values, which system call failed and what
    the kernel said. ``error.remedy`` is what to do about it, or ``None``; a traceback shows it as a
    note. ``error.errno`` is the number of the kernel's answer, or the one that comes nearest.
    """

    #: The number where the kernel did not say one.
    _errno = _errno.EIO

    #: What to do about it, or ``None``.
    remedy: str | None = None

    def __init__(self, message: str, *, errno: int | None = None, remedy: str | None = None) -> None:
        # (`OSError.__new__` has taken its own arguments already: see `__new__`.)
        self.errno = type(self)._errno if errno is None else errno
        self.strerror = os.strerror(self.errno)
        self._message = message
        self.remedy = remedy
        self.args = (message,)
        if remedy is not None:
            self.add_note(f"help: {remedy}")

    def __new__(cls, message: str, *, errno: int | None = None, remedy: str | None = None) -> Error:
        return super().__new__(cls, message)

    def __str__(self) -> str:
        return self._message

    def __reduce__(self) -> tuple[object, ...]:
        return _again, (type(self), self._message, self.errno, self.remedy)


def _again(kind: type[Error], message: str, errno: int | None, remedy: str | None) -> Error:
    return kind(message, errno=errno, remedy=remedy)


class InvalidInput(Error, ValueError):
    """The request makes no sense: a bad name, an unknown word, a shape that does not fit."""

    _errno = _errno.EINVAL


class OutOfRange(Error, ValueError):
    """An offset, range or size lies outside of the area."""

    _errno = _errno.ERANGE


class NodeNotAllowed(Error, ValueError):
    """A NUMA node does not exist, or this process may not use it."""

    _errno = _errno.EINVAL


class NotFound(Error, FileNotFoundError):
    """There is no area of that name."""

    _errno = _errno.ENOENT


class HolderGone(NotFound):
    """A handle leads nowhere any more: no process holds its memory."""


class OtherMachine(Error):
    """A handle is from another machine, or from before this one booted."""

    _errno = _errno.EREMOTE


class OtherPidNamespace(Error):
    """A handle is from another pid namespace: a container's, or from outside of this one."""

    _errno = _errno.EXDEV


class NameTaken(Error, FileExistsError):
    """There is an area of that name, and the name was to be exclusive."""

    _errno = _errno.EEXIST


class NoSuchProcess(Error, ProcessLookupError):
    """There is no live process of that number."""

    _errno = _errno.ESRCH


class NoMemory(Error):
    """The machine, a node, a control group or a pool of huge pages does not have that much
    memory."""

    _errno = _errno.ENOMEM


class AddressInUse(Error):
    """Addresses are taken, or there are no more."""

    _errno = _errno.EADDRINUSE


class Limit(Error):
    """A limit of this process (``ulimit``) or of the system was reached."""

    _errno = _errno.EDQUOT


class NotPermitted(Error, PermissionError):
    """The kernel does not permit it to this user."""

    _errno = _errno.EPERM


class Unreadable(NotPermitted):
    """The area lives in a process that this one may not read."""

    _errno = _errno.EACCES


class ReadOnly(NotPermitted):
    """The area was opened for reading."""

    _errno = _errno.EACCES


class Frozen(NotPermitted):
    """The area is frozen: no process writes it any more."""

    _errno = _errno.EPERM


class Busy(Error):
    """Others still use the memory in a way that forbids it; the text names them."""

    _errno = _errno.EBUSY


class RegistryError(Error):
    """The registry's folder or tables are not as they must be."""


class Unsupported(Error):
    """This kernel or machine, or this kind of area, cannot do it."""

    _errno = _errno.EOPNOTSUPP


class TimedOut(Error, TimeoutError):
    """A deadline has passed."""

    _errno = _errno.ETIMEDOUT


class OwnerDied(Error):
    """A process died while it had a lock, or in the middle of a write: what that guards may be half
    changed."""

    _errno = _errno.EOWNERDEAD


class Closed(Error, ValueError):
    """The area was closed."""

    _errno = _errno.EBADF


#: By the names of the library's kinds.
_KINDS: dict[str, type[Error]] = {
    "InvalidInput": InvalidInput,
    "OutOfRange": OutOfRange,
    "NodeNotAllowed": NodeNotAllowed,
    "NoSuchArea": NotFound,
    "NameTaken": NameTaken,
    "NoSuchTeam": NoSuchProcess,
    "NoMemory": NoMemory,
    "AddressInUse": AddressInUse,
    "Limit": Limit,
    "NotPermitted": NotPermitted,
    "Unreadable": Unreadable,
    "Busy": Busy,
    "Frozen": Frozen,
    "ReadOnly": ReadOnly,
    "Registry": RegistryError,
    "Unsupported": Unsupported,
    "TimedOut": TimedOut,
    "OwnerDied": OwnerDied,
}


def _made(kind: str, errno: int | None, message: str, remedy: str | None) -> Error:
    """The exception for an error of the library: called from Rust."""
    return _KINDS.get(kind, Error)(message, errno=errno, remedy=remedy)
