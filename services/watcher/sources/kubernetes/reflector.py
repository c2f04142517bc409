"""The reflector: one kind of object in one scope, kept in step with the API server by a list and a watch.

Owns resourceVersions and knows which objects the last word was about; nothing of what they mean. Its rules:

- a watch is resumed from the last version seen, in an event or a bookmark; only 410 (Gone) makes it list anew;
- a list is compared with what is known: only real differences are told, and removals are marked as inferred;
- a list older than what was already seen is not believed until the third look says the same;
- silence beyond the end that the server promised means the connection is dead.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Final, Protocol

import msgspec
from msgspec import Struct

from services.watcher.sources.kubernetes.backoff import Backoff
from services.watcher.sources.kubernetes.client import ApiError

_log = logging.getLogger(__name__)

PAGE: Final = 500
WATCH_SECONDS: Final = (40, 50)
"""The server ends a watch after so long (at random), so that a dead connection is noticed within a minute."""
MARGIN: Final = 10.0
SHORT_WATCH: Final = 1.0
"""A watch that ended sooner, without a word, counts as a failure: it must not be opened again in a tight loop."""
SECOND_LOOK: Final = 8.0
STALE_LOOKS: Final = 2

GONE: Final = 410
REFUSALS: Final = (401, 403, 404)


class Api(Protocol):
    """What a reflector needs of the client."""

    async def get(self, path: str, params: Mapping[str, str] | None = None) -> bytes:
        """The body of a GET."""

    def lines(self, path: str, params: Mapping[str, str]) -> AsyncGenerator[list[bytes], None]:
        """The lines of a streamed answer; an empty list first, when it has begun."""


class Seen(Struct, frozen=True):
    """An object of the API: its JSON, or None when it is gone. ``relisted``: a list lacked it."""

    namespace: str
    name: str
    uid: str
    resource_version: str
    data: bytes | None
    relisted: bool = False


class Listener(Protocol):
    """Whom a reflector tells."""

    def seen(self, objects: list[Seen]) -> None:
        """Objects that came, changed or went, in order."""

    def listed(self) -> None:
        """A complete list has been told."""

    def trouble(self, error: str) -> None:
        """Lists or watches fail with ``error``; empty: they work."""

    def heard(self) -> None:
        """The server said something, be it only that it is there."""


class _Meta(Struct, rename="camel"):
    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""


class _Object(Struct):
    metadata: _Meta = msgspec.field(default_factory=_Meta)


class _ListMeta(Struct):
    resource_version: str = msgspec.field(name="resourceVersion", default="")
    continue_: str | None = msgspec.field(name="continue", default=None)


class _List(Struct):
    metadata: _ListMeta = msgspec.field(default_factory=_ListMeta)
    items: list[msgspec.Raw] | None = None


class _Event(Struct):
    type: str
    object: msgspec.Raw


class _Status(Struct):
    code: int = 0
    message: str = ""


_LIST = msgspec.json.Decoder(_List)
_EVENT = msgspec.json.Decoder(_Event)
_OBJECT = msgspec.json.Decoder(_Object)
_STATUS = msgspec.json.Decoder(_Status)

Place = tuple[str, str]


class Reflector:
    """``path``: the collection, e.g. ``/api/v1/services``; ``selectors``: field and label selectors as parameters."""

    def __init__(self, api: Api, path: str, selectors: Mapping[str, str], listener: Listener) -> None:
        self._api = api
        self._path = path
        self._selectors = dict(selectors)
        self._listener = listener
        self._known: dict[Place, tuple[str, str]] = {}
        self._version = ""
        self._list_due = True
        self._stale_looks = 0
        self._limit: asyncio.Timeout | None = None
        self._look: asyncio.TimerHandle | None = None
        self._failures = 0
        self._backoff = Backoff()
        self.lists = 0

    async def run(self) -> None:
        """Reflect for ever."""
        while True:
            try:
                if self._list_due:
                    await self._list()
                await self._watch()
            except ApiError as error:
                self._failures += 1
                if error.status == GONE:
                    _log.info("%s: history is gone, listing again", self._path)
                    self._list_due = True
                    if self._failures == 1:
                        continue
                elif self._failures > 1 or error.status in REFUSALS:
                    # A connection that was cut and is back at once is nobody's trouble.
                    self._listener.trouble(str(error))
                await asyncio.sleep(self._backoff.delay(error.retry_after))

    def _well(self) -> None:
        """Lists and watches work."""
        self._failures = 0
        self._backoff.reset()
        self._listener.trouble("")

    def look_again(self) -> None:
        """List once more soon, whatever the watch says."""
        if self._look is None:
            self._look = asyncio.get_running_loop().call_later(SECOND_LOOK, self._interrupt)

    def _interrupt(self) -> None:
        self._look = None
        self._list_due = True
        if self._limit is not None and not self._limit.expired():
            self._limit.reschedule(0.0)

    # --- list -----------------------------------------------------------------------------------------------------

    async def _list(self) -> None:
        version, objects = await self._pages()
        self._listener.heard()
        if _older(version, self._version) and self._stale_looks < STALE_LOOKS:
            self._stale_looks += 1
            raise ApiError(0, f"{self._path}: the list is older than what was seen before: not believed yet")
        if self._stale_looks:
            _log.warning("%s: the API server went back from %s to %s", self._path, self._version, version)
        self._stale_looks = 0
        changed = [
            seen for place, seen in objects.items() if self._known.get(place) != (seen.uid, seen.resource_version)
        ]
        gone = [
            Seen(*place, *known, None, relisted=True) for place, known in self._known.items() if place not in objects
        ]
        self._known = {place: (seen.uid, seen.resource_version) for place, seen in objects.items()}
        self._version = version
        self._list_due = False
        self.lists += 1
        self._listener.trouble("")
        told = changed + gone
        for start in range(0, len(told), PAGE):
            self._listener.seen(told[start : start + PAGE])
            await asyncio.sleep(0)  # others get their turn between the pages of a large list
        self._listener.listed()

    async def _pages(self) -> tuple[str, dict[Place, Seen]]:
        """All pages of a list. A page that has expired starts the list over, then without pages."""
        for limit in (PAGE, PAGE, 0):
            try:
                return await self._pages_of(limit)
            except ApiError as error:
                if error.status != GONE or not limit:
                    raise
        raise AssertionError("unreachable")

    async def _pages_of(self, limit: int) -> tuple[str, dict[Place, Seen]]:
        objects: dict[Place, Seen] = {}
        params = {**self._selectors, **({"limit": str(limit)} if limit else {})}
        while True:
            body = await self._api.get(self._path, params)
            try:
                page = _LIST.decode(body)
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                raise ApiError(0, f"{self._path}: the list cannot be read: {error}") from None
            for raw in page.items or ():
                seen = _seen(bytes(raw))
                if seen is not None:
                    objects[seen.namespace, seen.name] = seen
            if not page.metadata.continue_:
                return page.metadata.resource_version, objects
            params["continue"] = page.metadata.continue_

    # --- watch ----------------------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        """One watch, until the server ends it, or a list is due."""
        seconds = random.randint(*WATCH_SECONDS)  # noqa: S311 - spread, not secrecy
        params = {
            **self._selectors,
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version,
            "timeoutSeconds": str(seconds),
        }
        began, words = time.monotonic(), 0
        try:
            async with asyncio.timeout(seconds + MARGIN) as self._limit:
                async with aclosing(self._api.lines(self._path, params)) as stream:
                    async for lines in stream:
                        words += len(lines)
                        if lines:
                            self._take(lines)
                            self._well()
                        else:
                            self._listener.trouble("")
        except TimeoutError:
            if not self._list_due:
                raise ApiError(0, f"{self._path}: no word from the API server: the watch is dead") from None
            return
        finally:
            self._limit = None
        self._listener.heard()
        if not words and time.monotonic() - began < SHORT_WATCH:
            await asyncio.sleep(self._backoff.delay())
        else:
            self._well()

    def _take(self, lines: list[bytes]) -> None:
        seen: list[Seen] = []
        try:
            for line in lines:
                self._take_line(line, seen)
        finally:
            self._listener.heard()
            if seen:
                self._listener.seen(seen)

    def _take_line(self, line: bytes, seen: list[Seen]) -> None:
        try:
            event = _EVENT.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ApiError(0, f"{self._path}: the watch cannot be read: {error}") from None
        data = bytes(event.object)
        if event.type == "ERROR":
            raise _error_of(data, self._path)
        found = _seen(data)
        if found is None:
            return
        version = found.resource_version
        if event.type == "BOOKMARK":
            self._version = version
            return
        place = (found.namespace, found.name)
        uid, known = self._known.get(place, ("", ""))
        if uid == found.uid and _older(version, known):
            _log.warning("%s: %s/%s: an older version than known: passed over", self._path, *place)
            return
        self._version = version
        if event.type == "DELETED":
            self._known.pop(place, None)
            seen.append(msgspec.structs.replace(found, data=None))
        elif (uid, known) != (found.uid, version):
            self._known[place] = (found.uid, version)
            seen.append(found)


def _error_of(data: bytes, path: str) -> ApiError:
    """What an ERROR event says; one that cannot be read is an error all the same."""
    try:
        status = _STATUS.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        return ApiError(0, f"{path}: watch: an error that cannot be read: {error}")
    return ApiError(status.code, f"{path}: watch: {status.message}")


def _seen(data: bytes) -> Seen | None:
    """The object in ``data``; None if not even its name can be read (logged)."""
    try:
        meta = _OBJECT.decode(data).metadata
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        _log.warning("an object of the API server cannot be read: %s", error)
        return None
    return Seen(meta.namespace, meta.name, meta.uid, meta.resource_version, data)


def _older(version: str, than: str) -> bool:
    """Whether ``version`` is surely older. Versions that are no numbers are never compared."""
    return version.isdecimal() and than.isdecimal() and int(version) < int(than)
