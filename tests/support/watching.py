"""A scripted API server in memory, with the faults of a real one, and ears that note what was said."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from services.watcher.sources.kubernetes.client import ApiError
from services.watcher.sources.kubernetes.reflector import Seen


class FakeApi:
    """One collection. ``fail`` holds errors for the next requests; ``stale`` what
    the next lists say instead of the truth; ``lists`` and ``watches`` note what was asked."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.version = 100
        self.history: list[tuple[int, dict[str, Any]]] = []
        self.compacted = 0
        self.fail_lists: list[ApiError] = []
        self.fail_watches: list[ApiError] = []
        self.lists: list[dict[str, str]] = []
        self.watches: list[dict[str, str]] = []
        self.stale: list[dict[str, Any]] = []
        self.silent = False
        self._streams: set[asyncio.Queue[bytes | None]] = set()

    @property
    def open(self) -> int:
        """Watches that are open."""
        return len(self._streams)

    def put(self, name: str, uid: str = "", **fields: Any) -> None:
        """Create or change an object."""
        self.version += 1
        kind = "MODIFIED" if name in self.objects else "ADDED"
        meta = {"name": name, "namespace": "n", "uid": uid or f"u-{name}", "resourceVersion": str(self.version)}
        self.objects[name] = {"metadata": meta, **fields}
        self._tell(kind, self.objects[name])

    def remove(self, name: str) -> None:
        self.version += 1
        gone = self.objects.pop(name)
        meta = {**gone["metadata"], "resourceVersion": str(self.version)}
        self._tell("DELETED", {**gone, "metadata": meta})

    def bookmark(self) -> None:
        """Tell the watches how far they are."""
        self.version += 1
        event = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": str(self.version)}}}
        self.raw(json.dumps(event).encode())

    def raw(self, line: bytes) -> None:
        """Send a line to every watch."""
        for stream in self._streams:
            stream.put_nowait(line)

    def close_watches(self) -> None:
        """End every watch as an API server does now and then."""
        for stream in self._streams:
            stream.put_nowait(None)

    def compact(self) -> None:
        """Forget history: watches from before are answered with 410."""
        self.compacted = self.version
        self.history.clear()

    def _tell(self, kind: str, value: dict[str, Any]) -> None:
        event = {"type": kind, "object": value}
        self.history.append((self.version, event))
        self.raw(json.dumps(event).encode())

    def snapshot(self) -> dict[str, Any]:
        """What a list of this moment says."""
        return {"metadata": {"resourceVersion": str(self.version)}, "items": list(self.objects.values())}

    # --- the client's part ----------------------------------------------------------------------------------------

    async def get(self, path: str, params: Mapping[str, str] | None = None) -> bytes:
        asked = dict(params or {})
        self.lists.append(asked)
        await asyncio.sleep(0)
        if self.fail_lists:
            raise self.fail_lists.pop(0)
        if self.stale:
            return json.dumps(self.stale.pop(0)).encode()
        whole, limit = self.snapshot(), int(asked.get("limit", 0)) or 1_000_000
        start = int(asked.get("continue", 0))
        whole["items"], rest = whole["items"][start : start + limit], whole["items"][start + limit :]
        if rest:
            whole["metadata"]["continue"] = str(start + limit)
        return json.dumps(whole).encode()

    async def lines(self, path: str, params: Mapping[str, str]) -> AsyncGenerator[list[bytes], None]:
        self.watches.append(dict(params))
        await asyncio.sleep(0)
        if self.fail_watches:
            raise self.fail_watches.pop(0)
        since = int(params["resourceVersion"])
        if since < self.compacted:
            raise ApiError(410, "too old resource version")
        stream: asyncio.Queue[bytes | None] = asyncio.Queue()
        for version, event in self.history:
            if version > since:
                stream.put_nowait(json.dumps(event).encode())
        self._streams.add(stream)
        try:
            yield []
            while True:
                line = await stream.get()
                if line is None:
                    return
                if not self.silent:
                    yield [line]
        finally:
            self._streams.discard(stream)


class Ear:
    """Notes what a reflector says."""

    def __init__(self) -> None:
        self.known: dict[str, str] = {}
        self.told: list[Seen] = []
        self.lists = 0
        self.errors: list[str] = []
        self.error = ""

    def seen(self, objects: list[Seen]) -> None:
        for seen in objects:
            self.told.append(seen)
            if seen.data is None:
                self.known.pop(seen.name, None)
            else:
                self.known[seen.name] = seen.resource_version

    def listed(self) -> None:
        self.lists += 1

    def trouble(self, error: str) -> None:
        if error != self.error:
            self.error = error
            self.errors.append(error)

    def heard(self) -> None:
        return
