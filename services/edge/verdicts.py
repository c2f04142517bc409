"""Verdicts of other servers on who may pass: asks for them, and remembers those that may be.

Owns what is remembered, bounded, and how much is asked at once. Whatever goes wrong is no verdict (status 0).
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable
from hashlib import blake2b
from typing import Final

from services.edge.core import grammar
from services.edge.core.policies.external import Inquiry, Verdict
from services.edge.core.response_head import BadResponseError, ResponseHead
from services.edge.side_servers import Address, SideServers
from services.runtime.logs import log
from services.runtime.seldom import Seldom

_log = logging.getLogger(__name__)

ASKED_AT_MOST: Final = 1024
"""Questions under way; who would be one more gets no verdict."""
REMEMBERED_AT_MOST: Final = 10_000
"""Verdicts; the least recently used goes first."""
_DIGEST: Final = 32
_LARGEST: Final = 8 * 1024
"""Bytes of a head that is remembered."""
_UNSHARED: Final = frozenset((b"set-cookie", b"vary", b"cache-control", b"expires", b"x-accel-expires", b"pragma"))
"""Answers with one of these headers are for one request alone, or say themselves how long they hold: they are not
remembered."""
_NONE: Final = Verdict(0)


class Verdicts:
    """See the module."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._servers = SideServers(loop)
        self._under_way = 0
        self._seldom = Seldom()
        self._remembered: OrderedDict[bytes, tuple[float, Verdict]] = OrderedDict()

    def ask(self, inquiry: Inquiry) -> Verdict | Awaitable[Verdict]:
        """The verdict, now if it is remembered."""
        return self._known(_short(inquiry.key)) or self._asked(inquiry)

    def close(self) -> None:
        """End what is kept."""
        self._servers.close()
        self._remembered.clear()

    def _known(self, key: bytes) -> Verdict | None:
        found = self._remembered.get(key) if key else None
        if found is None:
            return None
        if found[0] <= self._loop.time():
            del self._remembered[key]
            return None
        self._remembered.move_to_end(key)
        return found[1]

    async def _asked(self, inquiry: Inquiry) -> Verdict:
        if self._under_way >= ASKED_AT_MOST:
            self._complain("nobody is asked who may pass", f"{self._under_way} questions are under way")
            return _NONE
        self._under_way += 1
        address = Address(inquiry.tls, inquiry.host, inquiry.port)
        try:
            head = await self._servers.exchange(
                address, inquiry.head, inquiry.bodiless, inquiry.connect_timeout, inquiry.read_timeout
            )
        except (OSError, TimeoutError, BadResponseError, ValueError) as error:
            where = f"{inquiry.host}:{inquiry.port}"
            self._complain(f"{where} does not say who may pass", str(error) or type(error).__name__)
            return _NONE
        finally:
            self._under_way -= 1
        return self._noted(inquiry, head)

    def _complain(self, what: str, why: str) -> None:
        more = self._seldom.more(what)
        if more is not None:
            log(_log, logging.WARNING, what, why=why, more_like_it=more)

    def _noted(self, inquiry: Inquiry, head: ResponseHead) -> Verdict:
        fields = [(found[1].lower(), found[2].rstrip(b" \t")) for found in grammar.field.finditer(head.block)]
        verdict = verdict_of(head.status, fields, inquiry.wanted)
        lifetime = inquiry.lifetimes.of(head.status) if inquiry.key else 0
        if lifetime and len(head.block) <= _LARGEST and _UNSHARED.isdisjoint(name for name, _ in fields):
            self._remembered[_short(inquiry.key)] = (self._loop.time() + lifetime, verdict)
            if len(self._remembered) > REMEMBERED_AT_MOST:
                self._remembered.popitem(last=False)
        return verdict


def _short(key: bytes) -> bytes:
    """What stands for a key, empty for none: clients choose how long those are."""
    return blake2b(key, digest_size=_DIGEST).digest() if key else b""


def verdict_of(status: int, fields: list[tuple[bytes, bytes]], wanted: tuple[bytes, ...]) -> Verdict:
    """What an answer with these headers (names in lower case) says; several lines of a name are joined by ", "."""
    values: dict[bytes, bytes] = {}
    for name, value in fields:
        if name in wanted:
            values[name] = b"%b, %b" % (values[name], value) if name in values else value
    cookies = tuple(value for name, value in fields if name == b"set-cookie")
    return Verdict(status, values, cookies, tuple(value for name, value in fields if name == b"www-authenticate"))
