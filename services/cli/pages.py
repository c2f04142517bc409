"""Asking children for their admin pages, over the sockets that were handed down to them."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Final

import aiohttp

ANSWER_WITHIN: Final = 1.0
"""Seconds that a child gets."""


class Pages:
    """``sockets``: the listening socket of each child, by name."""

    def __init__(self, sockets: Mapping[str, socket.socket]) -> None:
        self._ports = {name: int(listening.getsockname()[1]) for name, listening in sockets.items()}
        self._client = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_WITHIN))

    async def get(self, name: str, path: str) -> bytes | None:
        """The page, or None if there is no good answer in time."""
        if name not in self._ports:
            return None
        try:
            async with self._client.get(f"http://127.0.0.1:{self._ports[name]}{path}") as response:
                return await response.read() if response.status == 200 else None
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None

    async def close(self) -> None:
        """End open connections."""
        await self._client.close()
