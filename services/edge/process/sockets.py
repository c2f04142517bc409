"""The traffic sockets of an edge: opened once, by the supervisor, a set for each worker; those of streams as they come.

Each set is bound with SO_REUSEPORT, so that the kernel spreads connections over the workers, and outlives the worker
that uses it: connections that wait in the queue of a worker that died are taken over by its successor. Bound is not yet
listening: a worker listens when it has something to serve, and until then the kernel sends it nobody.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Sequence
from contextlib import suppress
from ctypes import addressof, create_string_buffer
from typing import Final, NamedTuple

from services.runtime.settings import HostPort, SettingsError

BACKLOG: Final = 4096


class BindError(SettingsError):
    """A traffic port that cannot be opened; the message names it and what to do."""


class WorkerSockets(NamedTuple):
    """The sockets of one worker, bound and not yet listening."""

    http: tuple[socket.socket, ...]
    https: tuple[socket.socket, ...]


def open_sockets(http: Sequence[HostPort], https: Sequence[HostPort], workers: int) -> list[WorkerSockets]:
    """A set of sockets for each worker. A port of 0 becomes the same free port for all. Raises BindError."""
    sets = []
    for number in range(workers):
        bound = WorkerSockets(_bind_all(http), _bind_all(https))
        if number == 0:
            http, https = addresses(bound.http), addresses(bound.https)
        sets.append(bound)
    return sets


def open_port(address: HostPort, *, datagrams: bool = False) -> tuple[socket.socket, ...]:
    """Sockets of one worker for one more port, of UDP if ``datagrams``. Raises BindError; then none is left open."""
    opened: list[socket.socket] = []
    try:
        for host in _hosts(address):
            opened.append(_bind(host, address.port, share=True, datagrams=datagrams))
    except BindError:
        for bound in opened:
            bound.close()
        raise
    return tuple(opened)


def addresses(sockets: Sequence[socket.socket]) -> tuple[HostPort, ...]:
    """Where ``sockets`` are bound."""
    return tuple(HostPort(name[0], name[1]) for name in (bound.getsockname() for bound in sockets))


def open_admin(address: HostPort) -> socket.socket:
    """A listening socket for the admin endpoint, open as long as the edge runs. Raises BindError."""
    host = address.host or ("::" if _ipv6_works() else "0.0.0.0")
    bound = _bind(host, address.port, share=False, only_ipv6=bool(address.host))
    bound.listen()
    return bound


def _bind_all(wanted: Sequence[HostPort]) -> tuple[socket.socket, ...]:
    return tuple(_bind(host, address.port, share=True) for address in wanted for host in _hosts(address))


def _hosts(address: HostPort) -> tuple[str, ...]:
    """No host means every address: two sockets, so that IPv4 clients keep their IPv4 addresses in headers and logs."""
    if address.host:
        return (address.host,)
    return ("0.0.0.0", "::") if socket.has_ipv6 and _ipv6_works() else ("0.0.0.0",)


def _ipv6_works() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::", 0))
    except OSError:
        return False
    return True


def _bind(host: str, port: int, *, share: bool, only_ipv6: bool = True, datagrams: bool = False) -> socket.socket:
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    wanted = socket.SOCK_DGRAM if datagrams else socket.SOCK_STREAM
    try:
        family, kind, _, _, name = socket.getaddrinfo(host, port, type=wanted, flags=socket.AI_PASSIVE)[0]
        bound = socket.socket(family, kind | socket.SOCK_NONBLOCK)
    except OSError as error:
        raise BindError(f"cannot open {where}: {error.strerror or error}") from None
    try:
        if not datagrams:  # for datagrams it would let others take the port over
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if share:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(only_ipv6))
        bound.bind(name)
    except OSError as error:
        bound.close()
        raise BindError(f"cannot open {where}: {_explain(error, port)}") from None
    return bound


def _explain(error: OSError, port: int) -> str:
    if error.errno == errno.EACCES and port < 1024:
        return (
            f"port {port} is privileged: give the process the capability NET_BIND_SERVICE (in Kubernetes "
            "securityContext.capabilities.add, else setcap cap_net_bind_service=+ep on the interpreter), or set "
            "net.ipv4.ip_unprivileged_port_start"
        )
    if error.errno == errno.EADDRINUSE:
        return "in use by a process that does not share it (SO_REUSEPORT), or of another user"
    return error.strerror or str(error)


_DROP_NEW: Final = (
    # accept whatever is not the first packet of a connection (SYN without ACK): byte 13 of the TCP header
    (0x30, 0, 0, 13),  # load byte 13
    (0x54, 0, 0, 0x12),  # keep SYN and ACK
    (0x15, 0, 1, 0x02),  # only SYN?
    (0x06, 0, 0, 0),  # drop
    (0x06, 0, 0, 0xFFFF),  # let pass
)


_SO_ATTACH_FILTER: Final = 26
_SO_DETACH_FILTER: Final = 27


def take_all(sockets: Sequence[socket.socket]) -> None:
    """Undo ``turn_away``: a worker that takes over the sockets of one that left accepts everybody."""
    for listening in sockets:
        with suppress(OSError):  # no filter is there
            listening.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)


def leave(sockets: WorkerSockets) -> None:
    """Stop listening, whoever holds descriptors of the sockets; they stay bound and may listen again."""
    for listening in (*sockets.http, *sockets.https):
        with suppress(OSError):  # it was not listening
            listening.shutdown(socket.SHUT_RDWR)


def turn_away(sockets: Sequence[socket.socket]) -> None:
    """Let the kernel drop the first packet of new connections to ``sockets``; those on their way in still arrive.

    A listening socket that is closed resets whoever waits in its queue. So a leaving worker first turns newcomers
    away; they try again after a second, when the socket is gone and another worker, edge or node answers; then it
    accepts whoever waits, and only then closes. Where the kernel wants a capability for this (and the edge has none),
    newcomers are accepted until the close instead, and one that comes in that very moment is reset.
    """
    program = b"".join(struct.pack("HBBI", *line) for line in _DROP_NEW)
    buffer = create_string_buffer(program, len(program))
    option = struct.pack("HL", len(_DROP_NEW), addressof(buffer))
    for listening in sockets:
        with suppress(PermissionError):
            listening.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, option)
