"""Areas for other users and for containers: offered at a socket with a path, and taken there."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from . import _areas
from ._errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType
    from typing import Literal

    from ._area import Area

    _Users = int | Iterable[int] | Literal["any"] | None


class Answer(NamedTuple):
    """Who connected to an offer, and the outcome."""

    #: ``"given"``, ``"refused"``, ``"failed"`` (it could not be opened or sent) or ``"left"`` (it did not wait).
    outcome: str
    #: The user; ``None`` for one without a number in this user namespace.
    user: int | None
    #: The process; ``None`` for one outside of this pid namespace.
    pid: int | None
    #: Why not; ``None`` where it was given.
    reason: str | None


class Offer:
    """An area that is offered at a socket: :func:`offer` makes one. As a context manager it ends
    with the block.

    Whoever connects waits until :meth:`answer` or :meth:`serve` is called. What was given stays
    with those who have it.
    """

    __slots__ = ("_offer", "path")

    def __init__(self, offer: _areas.Offer, path: str | None) -> None:
        self._offer = offer
        #: Where it is offered; ``None`` for a supervisor's socket.
        self.path = path

    def answer(self, timeout: float | None = None) -> Answer | None:
        """Answers the next one who connects. No peer can hold it up.

        Args:
            timeout: Seconds to wait for a process; ``None`` for as long as it takes.

        Returns:
            Who it was, and the outcome; ``None`` where no process came, or the offer was closed.

        Raises:
            Limit: No descriptor is free for who connected, who waits.
        """
        answer = self._offer.answer(timeout)
        return None if answer is None else Answer(*answer)

    def serve(self) -> None:
        """Answers all who connect, until :meth:`close` is called in another thread::

            threading.Thread(target=offer.serve, daemon=True).start()
        """
        while not self._offer.closed:
            self.answer()

    def close(self) -> None:
        """Ends the offer, and takes its socket away."""
        self._offer.close()

    def __enter__(self) -> Offer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self._offer.closed else f"at {self.path!r}" if self.path else "at a supervisor's socket"
        return f"<areas.Offer {state}>"


def _numbers(users: _Users) -> tuple[list[int] | None, bool]:
    """The users that are named, and whether it is all."""
    if users is None:
        return None, False
    if isinstance(users, str):
        if users != "any":
            raise ValueError(f"users are numbers, or 'any', and not {users!r}")
        return None, True
    return ([users] if isinstance(users, int) else [int(user) for user in users]), False


def offer(
    area: Area,
    path: str | os.PathLike[str] | None,
    *,
    to: _Users = None,
    read_only: bool = False,
    seal: bool = False,
) -> Offer:
    """Offers an area that has a name to other users and to containers, at a socket that is made.

    Args:
        area: The area. Once no process publishes it any more, no other process gets it.
        path: Where the socket is made; ``None`` is the one that a supervisor has given to this
            process (systemd).
        to: The users that are given it, by number; ``"any"`` is every process that reaches the
            socket. ``None``: this process's own.
        read_only: For reading only, which the kernel enforces, or not at all: whom nothing would
            keep from writing (root, and the user who made the memory) is refused, unless it is
            frozen or sealed.
        seal: Seal it against new writers first, permanently: existing writable mappings stay, no
            new ones can be made.

    Raises:
        NotPermitted: For reading only, to a user whom nothing would keep from writing; a path
            through another user's link.
        Busy: Another process listens there.
        NotFound: The area has no name, so that no process could look whether it is still there.
    """
    if area.id is None:
        raise NotFound(
            "cannot offer an area that no process publishes: whether it is still there could not be checked",
            remedy="give it a name: `areas.create(NAME, …)`, `areas.put(…, name=NAME)`",
        )
    users, any_user = _numbers(to)
    text = None if path is None else os.fspath(path)
    opened = _areas.offer(area.id, text, to=users, any_user=any_user, read_only=read_only, seal=seal)
    return Offer(opened, text)


def take(
    path: str | os.PathLike[str],
    timeout: float | None = 0,
    *,
    users: _Users = None,
    max_nbytes: int | None = None,
) -> Area:
    """Takes the area that is offered at a path: the same memory, with the rights that are given,
    with its dtype and shape.

    It is not published here: it is not found by way of this process.

    Args:
        path: The socket.
        timeout: Seconds to wait until it is offered; ``None`` for as long as it takes.
        users: From whom it is taken, by number; ``"any"`` is whoever listens there. ``None``: this
            process's own user, and root.
        max_nbytes: The most bytes that are taken on; ``None``: the machine's RAM and swap.

    Raises:
        NotFound: Nothing is offered there, or the area is gone.
        NotPermitted: It is not offered to this user, or not by one from whom it is taken.
        TimedOut: It was not offered in time, or who listens does not answer in time; within 10
            seconds where ``timeout`` is 0.
        Limit: It has more bytes than are taken on.
    """
    from ._area import of_note

    named, any_user = _numbers(users)
    holding = _areas.take(os.fspath(path), timeout, users=named, any_user=any_user, max_nbytes=max_nbytes)
    return of_note(holding, "take an area")
