"""Names of ExternalName Services, resolved again and again.

Owns the addresses of every name that some upstream of the present generation holds. A name that ceases to resolve keeps
its last addresses. Must not know upstreams, requests, or why a name matters.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from proto.codec import decode_resource
from proto.resources import ResourceKey, ResourceRecord, Upstream
from services.runtime.logs import log

_log = logging.getLogger(__name__)

CHECK_EVERY: Final = 5.0
"""Seconds between two resolutions of a name. The system's resolver does not tell the time to live of its answers; a
caching resolver, as every cluster has one, answers the extra questions."""
CHECK_EVERY_WHILE_UNKNOWN: Final = 1.0
AT_ONCE: Final = 8

Addresses = tuple[str, ...]


class Resolver:
    """See the module. ``changed(name, addresses)`` is called in the loop whenever a name's addresses differ from
    before.

    ``allow_local``: loopback and link-local addresses are taken too (see ``EdgeOptions.allow_loopback_upstreams``).
    ``only_ipv4``: addresses of IPv6 are not asked for (``disable-ipv6-dns``).
    """

    def __init__(self, changed: Callable[[str, Addresses], None], *, allow_local: bool) -> None:
        self._changed = changed
        self._allow_local = allow_local
        self.only_ipv4 = False
        self._due: dict[str, float] = {}
        self._addresses: dict[str, Addresses] = {}
        self._said: dict[str, str] = {}
        self._wake = asyncio.Event()
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._threads = ThreadPoolExecutor(AT_ONCE, "resolve")  # of its own: a slow name server stops nothing else

    def addresses(self, name: str) -> Addresses:
        """The addresses of ``name``, sorted; empty while unknown."""
        return self._addresses.get(name, ())

    def errors(self) -> dict[str, str]:
        """Why names do not resolve, for those that at present do not."""
        return dict(self._said)

    def follow(self, names: Iterable[str]) -> None:
        """Resolve exactly these names from now on; new ones at once."""
        wanted = set(names)
        for name in self._due.keys() - wanted:
            del self._due[name]
            self._addresses.pop(name, None)
            self._said.pop(name, None)
        for name in wanted - self._due.keys():
            self._due[name] = 0.0
            self._wake.set()

    async def run(self) -> None:
        """Resolve for ever, each name when it is due."""
        while True:
            self._wake.clear()
            now = time.monotonic()
            due = [name for name, when in self._due.items() if when <= now]
            await asyncio.gather(*map(self._resolve, due))
            await self._sleep_until(min(self._due.values(), default=now + CHECK_EVERY))

    async def _sleep_until(self, when: float) -> None:
        try:
            async with asyncio.timeout(max(0.0, when - time.monotonic())):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _resolve(self, name: str) -> None:
        async with self._gate:
            loop = asyncio.get_running_loop()
            try:
                found = await loop.run_in_executor(self._threads, _look_up, name, self.only_ipv4)
            except OSError as error:
                self._failed(name, f"does not resolve: {error.strerror or error}")
                return
        if name not in self._due:
            return
        usable = tuple(address for address in found if self._allow_local or not _is_local(address))
        if not usable:
            self._failed(name, f"resolves only to loopback or link-local addresses, which are refused: {found}")
            return
        self._due[name] = time.monotonic() + CHECK_EVERY
        self._said.pop(name, None)
        if usable != self._addresses.get(name):
            self._addresses[name] = usable
            self._changed(name, usable)

    def _failed(self, name: str, reason: str) -> None:
        if name not in self._due:
            return
        known = bool(self._addresses.get(name))
        self._due[name] = time.monotonic() + (CHECK_EVERY if known else CHECK_EVERY_WHILE_UNKNOWN)
        if self._said.get(name) != reason:
            self._said[name] = reason
            log(_log, logging.WARNING, "external name", name=name, reason=reason, keeps_last=known)


class ExternalNames:
    """The names that Upstreams of the present generation hold, kept up to date change by change."""

    def __init__(self) -> None:
        self._of_upstream: dict[str, tuple[str, ...]] = {}

    def take(self, upserts: Iterable[ResourceRecord], removals: Iterable[ResourceKey]) -> bool:
        """Take a change in; whether any name may have come or gone."""
        touched = False
        for key in removals:
            if key.kind == "upstream":
                touched |= self._forget(key.name)
        for record in upserts:
            if record.kind != "upstream":
                continue
            upstream = decode_resource(record)
            if isinstance(upstream, Upstream) and upstream.dns:
                self._of_upstream[record.name] = tuple(endpoint.address for endpoint in upstream.endpoints)
                touched = True
            else:
                touched |= self._forget(record.name)
        return touched

    def _forget(self, upstream: str) -> bool:
        if upstream not in self._of_upstream:
            return False
        del self._of_upstream[upstream]
        return True

    def names(self) -> set[str]:
        """All of them."""
        return {name for names in self._of_upstream.values() for name in names}


def _look_up(name: str, only_ipv4: bool = False) -> list[str]:
    # a trailing dot keeps the resolver from trying the pod's search domains, unless the name is a short one on purpose
    exact = name if "." not in name or name.endswith(".") or _is_address(name) else name + "."
    try:
        family = socket.AF_INET if only_ipv4 else socket.AF_UNSPEC
        answers = socket.getaddrinfo(exact, None, family=family, type=socket.SOCK_STREAM)
    except (UnicodeError, ValueError) as error:
        raise OSError(f"not a name: {error}") from None
    return sorted({str(answer[4][0]) for answer in answers})


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_local(address: str) -> bool:
    ip = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(ip, "ipv4_mapped", None)
    ip = mapped or ip
    return ip.is_loopback or ip.is_link_local or ip.is_unspecified or ip.is_multicast
