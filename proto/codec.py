"""Encodings: deterministic MessagePack for what machines read, JSON for what people and other programs read.

Every decoder takes bytes from outside and raises DecodeError, which names what was being read and why it failed.
"""

from __future__ import annotations

import zlib
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from proto.resources import (
    CATCH_ALL,
    Alias,
    Certificate,
    Credentials,
    PathMatch,
    Resource,
    ResourceKind,
    ResourceRecord,
    Respond,
    Route,
    RouteGroup,
    Settings,
    Stream,
    Upstream,
    VirtualHost,
)
from proto.snapshots import CHUNK_SIZE

T = TypeVar("T")

_ENCODER = msgspec.msgpack.Encoder(order="deterministic")
_DECODERS: dict[Any, msgspec.msgpack.Decoder[Any]] = {}

MAX_BASE_SIZE = 256 * 1024 * 1024
"""The largest unpacked base a reader accepts (a bound on what a damaged or hostile message can make it allocate)."""


class DecodeError(ValueError):
    """Bytes that are not what they should be; the message says what was read and the reason."""


def encode(value: Any) -> bytes:
    """``value`` (a Struct, tuple, str, bytes, number …) as MessagePack; equal values give equal bytes."""
    return _ENCODER.encode(value)


def decode(data: bytes, type_: type[T], what: str = "") -> T:
    """The value of ``type_`` that ``data`` holds. Raises DecodeError."""
    decoder = _DECODERS.get(type_)
    if decoder is None:
        decoder = _DECODERS[type_] = msgspec.msgpack.Decoder(type_)
    try:
        return decoder.decode(data)  # type: ignore[no-any-return]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise DecodeError(f"{what or type_}: {error}") from None


_RESOURCE_TYPES: dict[ResourceKind, type[Struct]] = {
    "virtualhost": VirtualHost,
    "routegroup": RouteGroup,
    "alias": Alias,
    "upstream": Upstream,
    "certificate": Certificate,
    "credentials": Credentials,
    "settings": Settings,
    "stream": Stream,
}
KINDS = tuple(_RESOURCE_TYPES)
"""The kinds of resources that are known here."""

_KIND_OF_TYPE: dict[type[Struct], ResourceKind] = {type_: kind for kind, type_ in _RESOURCE_TYPES.items()}


def record_of(name: str, resource: Resource) -> ResourceRecord:
    """``resource`` as it travels and is hashed."""
    return ResourceRecord(_KIND_OF_TYPE[type(resource)], name, encode(resource))


def decode_resource(record: ResourceRecord) -> Resource:
    """The resource of a record; routes with unknown policies or actions answer 503. Raises DecodeError, also for a kind
    that is not known."""
    what = f"{record.kind} {record.name}"
    if record.kind == "virtualhost":
        return _decode_virtual_host(record.body, what)
    if record.kind == "routegroup":
        return _decode_route_group(record.body, what)
    type_ = _RESOURCE_TYPES.get(record.kind)
    if type_ is None:
        raise DecodeError(f"{what}: of a kind that is not known here")
    return decode(record.body, type_, what)  # type: ignore[return-value]


class _LooseVirtualHost(Struct, frozen=True, array_like=True):
    host: str = CATCH_ALL
    mode: str = "plain"
    routes: tuple[msgspec.Raw, ...] = ()


class _LooseRouteGroup(Struct, frozen=True, array_like=True):
    routes: tuple[msgspec.Raw, ...]


class _LooseRoute(Struct, frozen=True, array_like=True):
    match: PathMatch


def _decode_virtual_host(body: bytes, what: str) -> VirtualHost:
    try:
        return decode(body, VirtualHost, what)
    except DecodeError:
        loose = decode(body, _LooseVirtualHost, what)
        if loose.mode not in ("plain", "regex"):
            return VirtualHost(loose.host, denied=True)
        closed = tuple(_closed_unless_known(bytes(route), what) for route in loose.routes)
        rest = decode(body, list, what)
        rest[2] = closed
        try:
            return decode(encode(rest), VirtualHost, what)
        except DecodeError:  # something unknown about the host itself
            return VirtualHost(loose.host, denied=True)


def _decode_route_group(body: bytes, what: str) -> RouteGroup:
    try:
        return decode(body, RouteGroup, what)
    except DecodeError:
        loose = decode(body, _LooseRouteGroup, what)
        return RouteGroup(tuple(_closed_unless_known(bytes(route), what) for route in loose.routes))


def _closed_unless_known(body: bytes, what: str) -> Route:
    """The route, or one with the same match that answers 503 when a newer writer said something unknown about it."""
    try:
        return decode(body, Route, what)
    except DecodeError:
        return Route(decode(body, _LooseRoute, what).match, Respond(503))


def pack_base(records: list[ResourceRecord]) -> bytes:
    """All records of a snapshot, sorted, packed and deflated. Equal tables give equal bytes."""
    ordered = sorted(records, key=lambda record: (record.kind, record.name))
    return zlib.compress(encode(ordered), 6)


def inflate_base(packed: bytes) -> bytes:
    """A base before it was deflated: the MessagePack of its records. Raises DecodeError when it is truncated, damaged,
    or larger than MAX_BASE_SIZE; never allocates more than that."""
    inflater = zlib.decompressobj()
    try:
        data = inflater.decompress(packed, MAX_BASE_SIZE)
    except zlib.error as error:
        raise DecodeError(f"base: {error}") from None
    if not inflater.eof or inflater.unused_data:
        raise DecodeError("base: truncated, followed by other bytes, or larger than allowed")
    return data


def unpack_base(packed: bytes) -> list[ResourceRecord]:
    """The records of a packed base. Raises DecodeError."""
    return decode(inflate_base(packed), list[ResourceRecord], "base")


def split_chunks(packed: bytes) -> list[bytes]:
    """``packed`` in pieces of at most CHUNK_SIZE bytes (at least one)."""
    return [packed[start : start + CHUNK_SIZE] for start in range(0, max(len(packed), 1), CHUNK_SIZE)]
