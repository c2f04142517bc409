"""What a generation hands on unread: ports of TCP and UDP, and hosts whose TLS connections pass unopened.

Pure. Kept apart from hosts, so that a connection looks here only where a generation has any of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from msgspec import Struct

from proto.codec import DecodeError, decode_resource
from proto.resources import ResourceRecord, Stream
from services.contract.hosts import wildcard_of

_HOST: Final = "tls:"


class Streams(Struct, frozen=True):
    """``ports``: by the resources' names. ``hosts``: the Upstream of those whose TLS is not opened here."""

    ports: dict[str, Stream] = {}
    hosts: dict[str, str] = {}

    def changed(self, touched: Mapping[str, bytes | None]) -> Streams:
        """These with a change: bodies of resources by name, None: it is gone."""
        ports, hosts = dict(self.ports), dict(self.hosts)
        for name, body in touched.items():
            ports.pop(name, None)
            hosts.pop(name.removeprefix(_HOST), None)
            stream = None if body is None else _decoded(name, body)
            if stream is None:
                continue
            if name.startswith(_HOST):
                hosts[name.removeprefix(_HOST)] = stream.upstream
            else:
                ports[name] = stream
        return Streams(ports, hosts)

    def passes(self, server_name: str, has_host: Callable[[str], bool]) -> str | None:
        """The Upstream of connections that ask for ``server_name`` (lower case): that of the host, else, where nobody
        declared the host, of its wildcard. None: they are for our own TLS."""
        upstream = self.hosts.get(server_name)
        if upstream is None and not has_host(server_name):
            wildcard = wildcard_of(server_name)
            return None if wildcard is None else self.hosts.get(wildcard)
        return upstream


NONE: Final = Streams()


def _decoded(name: str, body: bytes) -> Stream | None:
    """None for what cannot be read: of a newer compiler, say. The others must not suffer from it."""
    try:
        decoded = decode_resource(ResourceRecord("stream", name, body))
    except DecodeError:
        return None
    return decoded if isinstance(decoded, Stream) else None
