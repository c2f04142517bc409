"""Who the client is and what an endpoint is told about it: X-Real-IP, X-Forwarded-* and their kin (contract 1.9).

Owns which of a forwarder's words are believed. Names that are set here were taken out of the request before.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from proto.resources import Settings
from services.contract.hosts import host_key
from services.edge.core import grammar
from services.edge.core.client_certificates import Peer
from services.edge.core.link import Link
from services.edge.core.request_head import Forwarded, RequestHeaders

_scheme = re.compile(rb"[A-Za-z][0-9A-Za-z+.-]*+").fullmatch
_port = re.compile(rb"[0-9]{1,5}").fullmatch
_with_port = re.compile(r"\[([^]]*)\](?::[0-9]+)?|([0-9.]+):[0-9]+").fullmatch

Network = IPv4Network | IPv6Network

HTTPS_PORT: Final = 443
_ADDRESS_LIMIT: Final = 64
"""Longer texts are no addresses; what is remembered is short."""


class ClientFacts(Struct, frozen=True, gc=False):
    """What a connection knows of its client. ``port``: of the listener. ``fragment``: lines that need no request;
    ``peer``: what TLS knows; ``https``: it came by https, be it only to the balancer before us; ``came_to``: the port
    that endpoints are told."""

    address: str
    port: int
    tls: bool
    fragment: bytes
    peer: Peer | None = None
    https: bool = False
    came_to: int = 80


def client_facts(
    address: str, port: int, tls: bool, peer: Peer | None = None, *, balancer_port: int = 0
) -> ClientFacts:
    """The facts of a connection. ``balancer_port``: the one that the client came to, as a PROXY header says; it is what
    endpoints are told, and 443 is https. Else our own port for https is told as 443 (contract section 1.9)."""
    address = _plain(address)
    https = tls or balancer_port == HTTPS_PORT
    came_to = HTTPS_PORT if tls and balancer_port in (0, port) else balancer_port or port
    return ClientFacts(address, port, tls, _fragment(address, came_to, https), peer, https, came_to)


def facts_of(link: Link, port: int) -> ClientFacts:
    """The facts of a connection that came to the listener of ``port``."""
    return client_facts(link.peer, port, link.tls, link.client, balancer_port=link.balancer_port or 0)


@lru_cache(maxsize=4096)
def _fragment(address: str, port: int, https: bool) -> bytes:
    """The lines of a client that is believed nothing; clients come again."""
    client = address.encode()
    return _lines(client, client, b"https" if https else b"http", b"%d" % port)


def _plain(address: str) -> str:
    """``address`` without zone and without the IPv6 clothes of an IPv4 address."""
    address = address.partition("%")[0]
    return address.removeprefix("::ffff:") if "." in address else address


def _lines(client: bytes, chain: bytes, scheme: bytes, port: bytes) -> bytes:
    return (
        b"X-Real-IP: %b\r\nX-Forwarded-For: %b\r\nX-Forwarded-Port: %b\r\n"
        b"X-Forwarded-Proto: %b\r\nX-Forwarded-Scheme: %b\r\nX-Scheme: %b\r\n"
    ) % (client, chain, port, scheme, scheme, scheme)


_USUAL_NAMES: Final = (b"x-forwarded-for", b"x-forwarded-host")


class Trust(Struct, frozen=True, gc=False):
    """Whether and from whom forwarded values are believed. ``address_alone``: nothing but the client's address is
    (``enable-real-ip``). ``heeds``: what forwarders say matters at all. ``renamed``: the headers, in lower case, in
    which they tell the client's address and the Host, where these are not the usual ones."""

    enabled: bool
    networks: tuple[Network, ...]
    full_chain: bool
    address_alone: bool = False
    heeds: bool = False
    renamed: tuple[bytes, bytes] | None = None
    all: bool = False


def trust_of(settings: Settings) -> Trust:
    """What ``use-forwarded-headers`` and its companions say; a network that cannot be read trusts nobody."""
    networks: list[Network] = []
    for text in settings.proxy_real_ip_cidr:
        try:
            networks.append(ip_network(text.strip(), strict=False))
        except ValueError:
            continue
    alone = settings.enable_real_ip and not settings.use_proxy_protocol  # whose header then is where it is read from
    enabled = settings.use_forwarded_headers
    names = settings.forwarded_for_header.lower().encode(), settings.forwarded_host_header.lower().encode()
    renamed = None if names == _USUAL_NAMES else names
    everybody = any(network.prefixlen == 0 for network in networks)
    full = settings.compute_full_forwarded_for
    return Trust(enabled, tuple(networks), full, alone, enabled or alone, renamed, everybody)


def believes_balancer(trust: Trust, address: str) -> bool:
    """Whether a PROXY header is believed of somebody at ``address``: the trusted forwarders, and this machine itself
    (nothing that runs here needs to lie about an address)."""
    parsed = _parse(_plain(address))
    return parsed is not None and (parsed.is_loopback or any(parsed in network for network in trust.networks))


class Told(Struct, frozen=True, gc=False):
    """What is told to the endpoint: ``lines`` (each with CRLF), the Host to send, the client, its scheme and the port
    that it came to. ``forwarded_port``: where a forwarder that is believed says it; else 0.

    ``believed``: a forwarder was; else what it said has its own lines (``originals``). These are among ``lines`` where
    forwarders tell by other headers than the usual ones.
    """

    lines: bytes
    authority: bytes
    client: str
    https: bool
    port: int
    forwarded_port: int = 0
    believed: bool = True


def tell(facts: ClientFacts, headers: RequestHeaders, trust: Trust) -> Told:
    """The lines about the client for one request."""
    said = headers.forwarded
    chain = said.for_
    if trust.renamed is not None:
        said = _renamed(headers, trust.renamed)
    if trust.enabled and (trust.all or _trusted(facts.address, trust.networks)):
        return _believe(facts, headers.authority, said, chain, trust)
    address, fragment = facts.address, facts.fragment
    if trust.address_alone and said.for_ and _trusted(address, trust.networks):
        address = client_address(address, said.for_, trust.networks)
        fragment = _fragment(address, facts.came_to, facts.https)
    lines = b"%bX-Forwarded-Host: %b\r\n" % (fragment, headers.authority)
    if trust.renamed is not None:
        return Told(lines + originals(said), headers.authority, address, facts.https, facts.came_to)
    return Told(lines, headers.authority, address, facts.https, facts.came_to, believed=False)


def _renamed(headers: RequestHeaders, names: tuple[bytes, bytes]) -> Forwarded:
    """What forwarders said, where they tell the client and the Host by headers of these names."""
    values: list[list[bytes]] = [[], []]
    for found in grammar.field.finditer(headers.block):
        name = found[1].lower()
        for at, wanted in enumerate(names):
            if name == wanted:
                values[at].append(found[2].rstrip(b" \t"))
    client, host = (b", ".join(lines) for lines in values)
    return replace(headers.forwarded, for_=client, host=host)


def originals(said: Forwarded) -> bytes:
    """Lines of what was said, kept aside: believed or not, endpoints may ask for it."""
    lines = b""
    if said.for_:
        lines += b"X-Original-Forwarded-For: %b\r\n" % said.for_
    if said.host:
        lines += b"X-Original-Forwarded-Host: %b\r\n" % said.host
    return lines


def _believe(facts: ClientFacts, authority: bytes, said: Forwarded, whole: bytes, trust: Trust) -> Told:
    """``whole``: the X-Forwarded-For that came, which the peer is put behind if all of it is to be told."""
    client = facts.address
    if _trusted(client, trust.networks):
        client = client_address(client, said.for_, trust.networks)
    peer = facts.address.encode()
    chain = client.encode()
    if trust.full_chain:
        chain = whole + b", " + peer if whole else peer
    scheme = said.proto.partition(b",")[0].strip()
    if not _scheme(scheme):
        scheme = b"https" if facts.https else b"http"
    https = scheme.lower() != b"http"  # some say wss of WebSockets; only http is sent to https (contract section 1.7)
    written = said.port.partition(b",")[0].strip()
    forwarded_port = int(written) if _port(written) else 0
    port = forwarded_port or (HTTPS_PORT if https and not facts.https else facts.came_to)
    host = said.host.partition(b",")[0].strip()
    if not host or host_key(host) is None:
        host = authority
    own = _lines(client.encode(), chain, scheme, b"%d" % port)
    lines = b"%bX-Forwarded-Host: %b\r\n%b" % (own, host, originals(said))
    return Told(lines, host, client, https, port, forwarded_port)


def client_address(peer: str, chain: bytes, trusted: tuple[Network, ...]) -> str:
    """The last address of ``chain`` (client, proxy, …) that is not a trusted forwarder's; the first if all are."""
    client = peer
    for part in reversed(chain.split(b",")):
        address = _parse_forwarded(part.strip().decode("latin-1"))
        if address is None:
            break
        client = str(address)
        if not any(address in network for network in trusted):
            break
    return client


@lru_cache(1024)
def _trusted(address: str, networks: tuple[Network, ...]) -> bool:
    parsed = _parse(address)
    return parsed is not None and any(parsed in network for network in networks)


def _parse_forwarded(text: str) -> IPv4Address | IPv6Address | None:
    """An address, with a port or without, as forwarders write it and nginx reads it."""
    match = _with_port(text)
    return _parse(text if match is None else match[1] or match[2])


@lru_cache(4096)
def _parse_short(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def _parse(text: str) -> IPv4Address | IPv6Address | None:
    return _parse_short(text) if len(text) < _ADDRESS_LIMIT else None
