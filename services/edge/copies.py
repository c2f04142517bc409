"""Copies of requests on their way to where the Ingress wants them (``mirror-target``); what is answered is thrown away.

Owns what waits to be sent, all of it bounded: what a target does not take in time is dropped and counted, so that no
client ever waits for it, or fails because of it. Bodies wait in memory and files of their own.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Iterator
from typing import Final

from services.edge.core.policies.mirrors import Copied
from services.edge.core.response_head import BadResponseError
from services.edge.side_servers import Address, SideServers
from services.edge.spool import Collected, Spools

AT_ONCE: Final = 32
"""Copies under way to one address, and so connections."""
WAITING_AT_MOST: Final = 256
"""Copies that wait for one address."""
ADDRESSES_AT_MOST: Final = 64
"""Addresses that copies are on their way to: variables in a target let clients name as many as they like."""
BYTES_AT_MOST: Final = 256 * 1024 * 1024
"""Of bodies of copies that wait or are under way, in memory and in files."""
PATIENCE: Final = 60.0
"""Seconds for sending a copy and hearing the head of an answer."""


class Copy:
    """A copy whose body is still coming: ``put`` what comes, then ``complete``; ``close`` where it never does."""

    __slots__ = ("_body", "_copies", "_over", "_whole", "copied", "size")

    def __init__(self, copies: Copies, copied: Copied) -> None:
        self._copies = copies
        self._body: Collected | None = None
        self._whole: bytes | bytearray = b""
        self._over = False
        self.copied = copied
        self.size = 0

    def put(self, data: bytes) -> None:
        """More of the body."""
        if self._over or not data:
            return
        self.size += len(data)
        if not self._copies.holds(len(data)):
            self.drop()
            return
        if self._body is None:
            self._body = self._copies.collected()
        try:
            self._body.put(data)
        except OSError as error:
            self._copies.complain(error)
            self.drop()

    def complete(self) -> None:
        """The body is whole: the copy is sent when its turn comes."""
        if not self._over:
            self._over = True
            if self._body is not None and not self._body.on_disk:
                self._whole = self._body.give()
            self._copies.submit(self)

    def close(self) -> None:
        """The request is over. A copy that is not complete is of no use."""
        if not self._over:
            self.drop()

    def drop(self) -> None:
        """It is not sent."""
        self._over = True
        self._copies.dropped()
        self.release()

    def release(self) -> None:
        """Let go of the body."""
        self._copies.let_go(self.size)
        self.size = 0
        self._whole = b""
        body, self._body = self._body, None
        if body is not None:
            body.close()

    def head(self) -> bytes:
        """The whole head."""
        length = b"Content-Length: %d\r\n" % self.size if self.copied.body else b""
        return b"%b%b\r\n" % (self.copied.head, length)

    def pieces(self) -> Iterator[bytes]:
        """The body, from its beginning each time. Raises OSError."""
        if self._whole:
            yield bytes(self._whole)
            return
        at = 0
        while self._body is not None and at < self.size:
            piece = self._body.read(at)
            at += len(piece)
            yield piece


class _Lane:
    """What waits for one address, and how many of it are under way."""

    __slots__ = ("under_way", "waiting")

    def __init__(self) -> None:
        self.waiting: deque[Copy] = deque()
        self.under_way = 0


class Copies:
    """See the module. ``counters``: where is told what became of copies."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        spools: Spools,
        spawn: Callable[[Coroutine[None, None, None]], object],
        counters: Counter[str],
    ) -> None:
        self._servers = SideServers(loop)
        self._spools = spools
        self._spawn = spawn
        self._counters = counters
        self._lanes: dict[Address, _Lane] = {}
        self._held = 0

    def begin(self, copied: Copied) -> Copy | None:
        """A copy of a request that is let pass; None: nothing of its body is wanted."""
        copy = Copy(self, copied)
        if copied.body:
            return copy
        copy.complete()
        return None

    def submit(self, copy: Copy) -> None:
        """Send ``copy`` as soon as its address takes it."""
        place = copy.copied.place
        address = Address(place.tls, place.name, place.port)
        lane = self._lanes.get(address)
        if lane is None:
            if len(self._lanes) >= ADDRESSES_AT_MOST:
                copy.drop()
                return
            lane = self._lanes[address] = _Lane()
        if lane.under_way < AT_ONCE:
            lane.under_way += 1
            self._spawn(self._send(address, lane, copy))
        elif len(lane.waiting) < WAITING_AT_MOST:
            lane.waiting.append(copy)
        else:
            copy.drop()

    async def _send(self, address: Address, lane: _Lane, copy: Copy) -> None:
        """Send ``copy``, and then what waits behind it."""
        try:
            while True:
                await self._send_one(address, copy)
                if not lane.waiting:
                    return
                copy = lane.waiting.popleft()
        finally:
            lane.under_way -= 1
            if not lane.under_way:
                del self._lanes[address]

    async def _send_one(self, address: Address, copy: Copy) -> None:
        copied = copy.copied
        times = copied.connect_timeout, PATIENCE
        try:
            await self._servers.exchange(
                address, copy.head(), copied.bodiless, *times, copy.pieces, again=copied.harmless
            )
            self._counters["mirror-sent"] += 1
        except (OSError, TimeoutError, BadResponseError, ValueError):
            self._counters["mirror-failed"] += 1
        finally:
            copy.release()

    # --- bodies that wait ---------------------------------------------------------------------------------------

    def collected(self) -> Collected:
        """Where a body waits."""
        return Collected(self._spools, 0)

    def holds(self, size: int) -> bool:
        """Count ``size`` more bytes of a body; False: there is no room for them (they are counted nevertheless)."""
        self._held += size
        return self._held <= BYTES_AT_MOST

    def let_go(self, size: int) -> None:
        """So many bytes are gone."""
        self._held -= size

    def dropped(self) -> None:
        """A copy is not sent."""
        self._counters["mirror-dropped"] += 1

    def complain(self, error: OSError) -> None:
        """A body could not be kept."""
        self._spools.complain(error)

    def close(self) -> None:
        """End what is kept."""
        self._servers.close()
