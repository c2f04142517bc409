"""Opening a connection to an endpoint in the way that its pool says: TCP, and TLS on top.

Owns how long that may take in all. Must not know what the connection is for.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from services.edge.fastcgi import FastCGI
from services.edge.pools import ConnectTimeoutError, EndpointPool
from services.edge.upstream_tls import EndpointRecords

if TYPE_CHECKING:
    from services.edge.serving import Serving


async def connect(serving: Serving, inner: asyncio.Protocol, pool: EndpointPool, timeout: float) -> None:
    """Connect ``inner`` to the endpoint of ``pool``, within ``timeout`` seconds (nginx bounds the handshake by
    ``proxy_connect_timeout`` too). Raises ConnectTimeoutError, OSError; then nothing is left open."""
    records: EndpointRecords | None = None
    if pool.transport.tls is not None:
        context = serving.endpoint_contexts.context(pool.transport)
        records = EndpointRecords(inner, serving.loop, serving.traffic.counters, context, pool.name)
    below = FastCGI(inner, serving.traffic.counters) if pool.transport.fastcgi else inner
    outer = records or below
    try:
        async with asyncio.timeout(timeout):
            await serving.loop.create_connection(lambda: outer, pool.address, pool.port)
            if records is not None:
                await records.ready
    except TimeoutError:
        if records is not None:
            records.abandon()
        raise ConnectTimeoutError(pool.name) from None
    except UnicodeError as error:  # manifests in files may name anything
        raise OSError(f"{pool.name} is no address: {error}") from None
    except BaseException:
        if records is not None:
            records.abandon()
        raise
