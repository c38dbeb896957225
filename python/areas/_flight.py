"""Areas of other machines: served and fetched over Arrow Flight, by the program
``areas-flight``."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from typing import TYPE_CHECKING, Any

from . import _areas, _errors
from ._errors import Error, InvalidInput, NotFound, Unsupported
from ._making import name_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from ._area import Area

_PROGRAM = "areas-flight"
#: Kinds of the library that are called otherwise here, and those that have no class of their own.
_CALLED = {"NoSuchArea": "NotFound", "NoSuchTeam": "NoSuchProcess", "Registry": "RegistryError", "Io": "Error", "System": "Error"}


class Server:
    """Frozen areas that are served to other machines: :func:`serve` makes one. As a context manager
    it ends with the block.

    It is a process of its own, which ends with this one.
    """

    __slots__ = ("_process", "address", "port", "tls", "token_file")

    def __init__(self, process: subprocess.Popen[bytes], ready: dict[str, Any]) -> None:
        self._process = process
        #: Where it listens,
        self.address: str = ready["address"]
        #: and at which port.
        self.port: int = ready["port"]
        #: The file with the token that clients need.
        self.token_file: str = ready["token_file"]
        #: Whether it encrypts (TLS).
        self.tls: bool = ready["tls"]

    def location(self, name: str | bytes) -> str:
        """What :func:`fetch` takes for the area of that name."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{'grpc+tls://' if self.tls else ''}{host}:{self.port}/{_named(name)}"

    @property
    def closed(self) -> bool:
        """Whether it has ended."""
        return self._process.poll() is not None

    def close(self) -> None:
        """Ends it. What is on its way is cut off."""
        self._process.terminate()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"at {self.address}:{self.port}"
        return f"<areas.Server {state}>"


def serve(
    served: str | bytes | Area | Iterable[str | bytes | Area],
    *,
    listen: str = "127.0.0.1:0",
    token_file: str | os.PathLike[str] | None = None,
    tls_cert: str | os.PathLike[str] | None = None,
    tls_key: str | os.PathLike[str] | None = None,
) -> Server:
    """Serves frozen areas over Arrow Flight, to those who have the token.

    Any client of Flight reads them: tables that :func:`areas.arrow.put` wrote with their own
    schema, all else as a column of bytes.

    Args:
        served: Names, or areas that have one. Nothing else is served.
        listen: The address and the port; port 0 is a free one. Without ``tls_cert`` nothing is
            encrypted: not the bytes, and not the token.
        token_file: The file with the token, made with a new one if it is not there; ``None``:
            ``~/.config/areas/flight.token``.
        tls_cert, tls_key: The files with the server's certificate and its private key, in PEM: all
            that comes and goes is encrypted.

    Raises:
        NotFound: There is no such area, or it has no name.
        NotPermitted: Others may read the file with the token, or with the key.
        Busy: One is not frozen.
        Unsupported: ``areas-flight`` is not installed.
    """
    from ._area import Area

    all_of_them = [served] if isinstance(served, (str, bytes, Area)) else served
    names = [_name(one) for one in all_of_them]
    if not names:
        raise InvalidInput("cannot serve areas: none is named")
    if (tls_cert is None) != (tls_key is None):
        given, missing = ("tls_cert", "tls_key") if tls_key is None else ("tls_key", "tls_cert")
        raise InvalidInput(
            f"cannot serve areas: {given} without {missing}", remedy="give both, the certificate and its private key"
        )
    command = [_program("serve areas"), "serve", "--json", "--json-errors", "--quiet", "--while-stdin", "--listen", listen]
    for option, file in [("--token-file", token_file), ("--tls-cert", tls_cert), ("--tls-key", tls_key)]:
        if file is not None:
            command += [option, os.fspath(file)]
    process = subprocess.Popen(
        [*command, "--", *names], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None and process.stderr is not None
    line = process.stdout.readline()
    event = json.loads(line) if line else {}
    if event.get("event") != "serving":
        _, errors = process.communicate()
        if event:
            raise _failure(event)
        # What it was started with makes no sense: that it says in words.
        said = errors.decode(errors="replace").strip().removeprefix("error: ").partition("\n")[0]
        kind = InvalidInput if process.returncode == 2 else Error
        raise kind(f"cannot serve areas: {said or f'the server has ended, with status {process.returncode}'}")
    process.stderr.close()
    return Server(process, event)


def fetch(
    location: str,
    name: str | bytes | None = None,
    *,
    token_file: str | os.PathLike[str] | None = None,
    tls_ca: str | os.PathLike[str] | None = None,
    timeout: float = 30,
    min_rate: int = 1024,
    max_time: float | None = None,
    streams: int = 4,
    max_nbytes: int | None = None,
    copy: bool = False,
    exclusive: bool = False,
    policy: str | None = None,
    nodes: str | None = None,
    home: int | None = None,
    huge: str | None = None,
    lock: str | None = None,
) -> Area:
    """Fetches an area from another machine into a new one: placed as is asked, complete, compared
    with its checksum, and frozen.

    It has the dtype and the shape that it has there. Where a connection fails, it goes on where it
    was. An area of this machine and registry is not sent but cloned, unless it is to be placed
    elsewhere.

    Args:
        location: ``"HOST:PORT/NAME"``: the server (``areas serve``, :func:`serve`), and the name there; ``"grpc+tls://HOST:PORT/NAME"`` where it encrypts.
        name: What others find it by here. Without it, it is only this process's.
        token_file: The file with the server's token; of servers at 127.0.0.1 it is found by itself.
        tls_ca: The file with the certificates that vouch for the server, in PEM: nothing goes
            unencrypted. ``None``: those that the machine believes.
        timeout: Give up after so many seconds in which nothing comes.
        min_rate: Give up where fewer bytes come a second, on the average of ``timeout``; 0: never.
        max_time: Give up after so many seconds, however much has come.
        streams: How many connections at most.
        max_nbytes: Refuse what is larger.
        copy: Have it sent also where it is an area of this machine and registry.
        exclusive: Whether it is an error that there is an area of that name.
        policy, nodes, home, huge, lock: As for :func:`create`.

    Raises:
        NotFound: Nothing is offered under that name.
        NotPermitted: The token is not the server's.
        TimedOut: Nothing came for too long, or too little.
        Limit, NoMemory: It is larger than ``max_nbytes``, or than what there is.
        Error: The server cannot be reached, or what came is not what it announced.
        Unsupported: ``areas-flight`` is not installed.
    """
    from ._area import of_note

    where = {"policy": policy, "nodes": nodes, "home": home, "huge": huge, "lock": lock}
    command = [_program("fetch an area"), "fetch", "--timeout", str(timeout), "--streams", str(streams), "--min-rate", str(min_rate)]
    for option, value in [("--token-file", token_file), ("--tls-ca", tls_ca), ("--max-size", max_nbytes), ("--max-time", max_time)]:
        if value is not None:
            command += [option, os.fspath(value) if isinstance(value, os.PathLike) else str(value)]
    if copy or any(value is not None for value in where.values()):
        command.append("--copy")
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with ours:
        with theirs:
            process = subprocess.Popen(
                [*command, "--", location], stdin=theirs.fileno(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
        try:
            holding = _follow(process, ours, where)
        finally:
            # It ends once no process is at the other end.
            ours.close()
            process.communicate()
    if name is not None:
        holding.publish(name_of(name), exclusive)
    return of_note(holding, "fetch an area")


def _follow(process: subprocess.Popen[bytes], sock: socket.socket, where: dict[str, Any]) -> _areas.Holding:
    """Does what the process that fetches asks for, until it has sent the area."""
    assert process.stdout is not None
    for line in process.stdout:
        event = json.loads(line)
        if event["event"] == "size":
            asked = where if any(value is not None for value in where.values()) else {}
            note = bytes.fromhex(event["note"]) or None
            most = event["most"]
            if most is not None:
                asked = {**asked, "max_nbytes": most}
            made = _areas.create(event["size"], note=note, populate=most is None, **asked)
            made.send(sock.fileno())
            # From here on it is the other process's alone: a frozen area has no other writers.
            del made
        elif event["event"] == "done":
            return _areas.receive(sock.fileno(), 60)
        else:
            raise _failure(event)
    _, errors = process.communicate()
    said = errors.decode(errors="replace").strip().splitlines()
    raise Error(
        "cannot fetch an area: the process that does it ended before it was done"
        + (f": {said[-1]}" if said else f", with status {process.returncode}")
    )


def _failure(event: dict[str, Any]) -> Error:
    """What the process says that failed."""
    kind = event["kind"]
    failure: Error = getattr(_errors, _CALLED.get(kind, kind), Error)(
        f"cannot {event['what']}" + (f": {event['detail']}" if event["detail"] else ""), remedy=event["help"]
    )
    return failure


def _program(what: str) -> str:
    """The program: beside the command ``areas``, or in a folder of PATH."""
    command = shutil.which("areas")
    beside = os.path.join(os.path.dirname(os.path.realpath(command)), _PROGRAM) if command else None
    found = beside if beside and os.access(beside, os.X_OK) else shutil.which(_PROGRAM)
    if found is None:
        raise Unsupported(
            f"cannot {what}: the program {_PROGRAM} is not in PATH",
            remedy="in areas' sources: `cargo xtask install`, or `cargo install --path crates/areas-flight`",
        )
    return found


def _name(served: str | bytes | Area) -> str:
    if isinstance(served, (str, bytes)):
        name: str | bytes | None = served
    else:
        name = served.name
    if name is None:
        raise NotFound(
            "cannot serve an area that no process publishes: it could not be found",
            remedy="give it a name: `areas.create(NAME, …)`, `areas.put(…, name=NAME)`",
        )
    return _named(name)


def _named(name: str | bytes) -> str:
    """A name as the command line takes it, whatever is in it."""
    if isinstance(name, str):
        return f"name:{name}"
    try:
        return f"name:{name.decode()}"
    except UnicodeDecodeError:
        return f"hex:{name.hex()}"
