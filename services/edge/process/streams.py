"""The streams of a worker beside its http and https ports: which addresses they get, how they drain, what is counted.

Must not know how bytes get across.
"""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from proto.resources import Stream
from services.edge.process.families import OWN
from services.edge.process.metrics import Series
from services.edge.process.sockets import WorkerSockets, addresses, open_port
from services.edge.serving import Serving
from services.edge.streams.ports import Ports
from services.runtime.settings import HostPort

_LOOK_EVERY: Final = 0.02


def ports_beside(
    serving: Serving, sockets: WorkerSockets, admin: HostPort | None, changed: Callable[[], None]
) -> Ports:
    """Ports of streams, opened on the addresses that http is served on; the edge's own ports are reserved."""
    http, https = addresses(sockets.http), addresses(sockets.https)
    hosts = list(dict.fromkeys(address.host for address in http or https))
    reserved = {address.port: "HTTP" for address in http} | {address.port: "HTTPS" for address in https}
    if admin is not None and not admin.inherited:
        reserved[admin.port] = "health and metrics"

    def bind(stream: Stream) -> Sequence[socket.socket]:
        bound: list[socket.socket] = []
        try:
            for host in hosts:
                bound.extend(open_port(HostPort(host, stream.port), datagrams=stream.protocol == "udp"))
        except Exception:
            for one in bound:
                one.close()
            raise
        return bound

    return Ports(serving, bind, reserved, changed)


async def drained(ports: Ports, bound: float) -> bool:
    """Let connections end by themselves, at most ``bound`` seconds, then end them; whether nothing was cut."""
    ports.close()
    loop = asyncio.get_running_loop()
    end = loop.time() + bound
    while ports.connections and loop.time() < end:  # noqa: ASYNC110 - no connection pays for saying it was the last
        await asyncio.sleep(_LOOK_EVERY)
    whole = not ports.connections
    ports.abort()
    return whole


def stream_families(serving: Serving, ports: Ports | None) -> dict[str, list[Series]]:
    """What streams came to, by family."""
    ledger = serving.ledger
    now: Counter[str] = Counter()
    for port in () if ports is None else ports.each():
        now[port.stream.protocol] += port.open
    return {
        OWN + "stream_sessions_total": _series(ledger.sessions),
        OWN + "stream_bytes_total": _series(ledger.bytes),
        OWN + "stream_sessions": [Series((protocol,), [float(count)]) for protocol, count in now.items()],
        OWN + "stream_ports_closed": [Series((), [float(len(ports.failures) if ports is not None else 0)])],
    }


def _series(counted: Mapping[tuple[str, str, str], int]) -> list[Series]:
    return [Series(labels, [float(count)]) for labels, count in counted.items()]
