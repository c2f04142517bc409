"""What the HTTP/2 connections of a listener have in common: blocks of responses' heads, limits, and a voice in the log.

Owns the memory that outlives connections. Must not know streams.
"""

from __future__ import annotations

import logging
from typing import Final

from msgspec.structs import replace

from services.edge.core.generation import Generation
from services.edge.core.http2 import CLIENT_LIMITS, Limits
from services.edge.core.http2.frames import DEFAULT_FRAME
from services.edge.core.http2_response import Blocks
from services.runtime.logs import log
from services.runtime.seldom import Seldom

_log = logging.getLogger(__name__)

SAID_EVERY: Final = 1.0
"""Seconds between two lines in the log about clients that break rules: an attack must not fill a disk."""


class Common:
    """See the module. ``tls``: of the listener. ``requests_at_most``: of one connection, after which the client is
    asked to open another. A connection stands for as many of HTTP/1.1 as it has streams, and so has that many times
    their requests (``keep-alive-requests``)."""

    __slots__ = ("_blocks", "_generation", "_limits", "_seldom", "_tls", "requests_at_most")

    def __init__(self, tls: bool) -> None:
        self._tls = tls
        self._generation: Generation | None = None
        self._blocks = Blocks(b"")
        self._limits = CLIENT_LIMITS
        self.requests_at_most = 0
        self._seldom = Seldom(SAID_EVERY)

    def blocks(self, generation: Generation) -> Blocks:
        """The blocks that responses are made of under ``generation``."""
        if generation is not self._generation:
            self._follow(generation)
        return self._blocks

    def limits(self, generation: Generation | None) -> Limits:
        """What a new connection may do."""
        if generation is not None and generation is not self._generation:
            self._follow(generation)
        return self._limits

    def _follow(self, generation: Generation) -> None:
        self._generation = generation
        blocks = Blocks(generation.security_line if self._tls else b"", generation.naming)
        if not blocks.says_the_same(self._blocks):  # what is remembered outlives generations that say the same
            self._blocks = blocks
        self._limits = limits_of(generation)
        self.requests_at_most = generation.requests_at_most * self._limits.streams

    def broke_rule(self, client: str, reason: str) -> None:
        """A connection was ended for ``reason``."""
        more = self._seldom.more()
        if more is not None:
            log(_log, logging.WARNING, "client of HTTP/2 was cut off", client=client, reason=reason, more_like_it=more)


def limits_of(generation: Generation) -> Limits:
    """What a client may do under ``generation``: ``http2-max-concurrent-streams``, ``large-client-header-buffers``."""
    size = generation.head_limits.block
    return replace(
        CLIENT_LIMITS,
        streams=generation.settings.http2_max_concurrent_streams or CLIENT_LIMITS.streams,
        header_bytes=size,
        block_bytes=max(CLIENT_LIMITS.block_bytes, size),
        continuations=max(CLIENT_LIMITS.continuations, -(-size // DEFAULT_FRAME)),
    )
