"""One entry of the ConfigMaps of TCP and UDP services: an external port, and the Service that stands behind it.

Owns the syntax ``namespace/service:port[:PROXY][:PROXY]`` (contract section 1.11). Must not know whether there is such
a Service.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

from services.contract.annotations.values import MalformedError

_NAME: Final = re.compile(r"[a-z0-9](?:[-.a-z0-9]{0,251}[a-z0-9])?")
_PORT: Final = re.compile(r"\+?[0-9]{1,10}")
_PORT_NAME: Final = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
_PROXY: Final = "PROXY"


class StreamService(Struct, frozen=True, gc=False):
    """What comes to ``port`` goes to the Service ``namespace/name`` by ``service_port`` (number or name).

    ``reads_proxy``: connections begin with a PROXY header; ``writes_proxy``: the endpoint is sent one. ``unknown``:
    words in their places that are neither empty nor ``PROXY``, which have no effect.
    """

    port: int
    namespace: str
    name: str
    service_port: str
    reads_proxy: bool = False
    writes_proxy: bool = False
    unknown: tuple[str, ...] = ()


def parse_external_port(text: str) -> int:
    """The key of an entry. Raises MalformedError, which completes the sentence "the key …"."""
    number = int(text) if _PORT.fullmatch(text) else 0
    if not 0 < number < 65536:
        raise MalformedError("is no port number between 1 and 65535")
    return number


def parse_stream_service(port: int, text: str) -> StreamService:
    """The value of an entry. Raises MalformedError, which completes the sentence "the value …"."""
    named, *rest = text.strip().split(":")
    namespace, slash, name = named.partition("/")
    if not slash or _NAME.fullmatch(namespace) is None or _NAME.fullmatch(name) is None:
        raise MalformedError("does not begin with namespace/service")
    service_port = rest[0] if rest else ""
    number = int(service_port) if _PORT.fullmatch(service_port) else 0
    if not 0 < number < 65536 and (number or service_port.isdigit() or _PORT_NAME.fullmatch(service_port) is None):
        raise MalformedError("names no port of the Service behind a colon")
    words = [word.upper() for word in rest[1:]]
    return StreamService(
        port,
        namespace,
        name,
        str(number or service_port),
        words[:1] == [_PROXY],
        words[1:2] == [_PROXY],
        (*(word for word in rest[1:3] if word.upper() not in ("", _PROXY)), *rest[3:]),
    )
