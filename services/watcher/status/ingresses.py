"""``status.loadBalancer`` of the Ingresses that are served: what it should be, and writing it where it differs.

Owns what was seen of each Ingress' status. Writes only the ``status`` subresource, only where it differs, so that two
controllers on one class can be told apart in the API server's audit instead of in a storm of writes. On stop nothing is
cleared: edges serve on without the watcher.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final, Protocol

import msgspec

from proto.objects import ObjectKey
from services.contract.ingress_manifest import LoadBalancerPoint
from services.watcher.observed import Change
from services.watcher.sources.kubernetes.client import MERGE_PATCH, ApiError
from services.watcher.status.points import ordered, points_of_addresses

_log = logging.getLogger(__name__)

AT_ONCE: Final = 8
RECHECK: Final = 60.0
RETRY: Final = 5.0

Points = tuple[LoadBalancerPoint, ...]


class Api(Protocol):
    """What writing needs of the client."""

    async def send(self, method: str, path: str, body: bytes, content_type: str = "application/json") -> bytes:
        """The body of the answer to a write."""


class StatusWriter:
    """``publish_service``: the Service whose addresses are shown; ``addresses``: fixed ones, which win."""

    def __init__(self, api: Api, *, publish_service: ObjectKey | None, addresses: str) -> None:
        self._api = api
        self._service = publish_service
        self._fixed = points_of_addresses(addresses)
        self._of_service: Points | None = None
        self._shown: dict[str, Points] = {}
        self._served: set[str] = set()
        self._due: dict[str, None] = {}
        self._wake = asyncio.Event()
        self.written = 0
        self.failures = 0

    @property
    def wanted(self) -> Points | None:
        """What the status of a served Ingress should be; None while that is not known."""
        return self._fixed or self._of_service

    def watched(self, change: Change) -> None:
        """The source saw an Ingress or a Service."""
        if change.key == self._service:
            self._of_service = None if change.value is None else ordered(change.published or ())
            self.recheck()
        elif change.key.kind == "ingress":
            name = f"{change.key.namespace}/{change.key.name}"
            if change.value is None:
                self._shown.pop(name, None)
            elif change.published is not None:
                self._shown[name] = ordered(change.published)
                self._look(name)

    def served(self, served: tuple[str, ...], gone: tuple[str, ...]) -> None:
        """The compiler serves these, and these no more."""
        self._served.update(served)
        self._served.difference_update(gone)
        for name in served:
            self._look(name)
        for name in gone:
            # What shows our addresses would go on drawing traffic (DNS follows it); anything else is not ours to clear.
            if self._shown.get(name) and self._shown[name] == self.wanted:
                self._queue(name)

    def recheck(self) -> None:
        """Look at every Ingress again."""
        for name in self._served:
            self._look(name)

    def _look(self, name: str) -> None:
        wanted, shown = self.wanted, self._shown.get(name)
        if wanted is not None and name in self._served and shown is not None and shown != wanted:
            self._queue(name)

    def _queue(self, name: str) -> None:
        self._due[name] = None
        self._wake.set()

    async def run(self) -> None:
        """Write what is due, for ever."""
        while True:
            try:
                async with asyncio.timeout(RECHECK):
                    await self._wake.wait()
            except TimeoutError:
                self.recheck()
            self._wake.clear()
            while self._due:
                batch = list(self._due)[:AT_ONCE]
                for name in batch:
                    del self._due[name]
                settled = await asyncio.gather(*map(self._write, batch))
                failed = [name for name, ok in zip(batch, settled, strict=True) if not ok]
                if failed:
                    self._due.update(dict.fromkeys(failed))
                    await asyncio.sleep(RETRY)

    async def _write(self, name: str) -> bool:
        """Write one status; whether that is settled."""
        wanted, shown = self.wanted, self._shown.get(name)
        target: Points = (wanted or ()) if name in self._served else ()
        if shown is None or shown == target or (wanted is None and name in self._served):
            return True
        namespace, _, ingress = name.partition("/")
        path = f"/apis/networking.k8s.io/v1/namespaces/{namespace}/ingresses/{ingress}/status"
        body = msgspec.json.encode({"status": {"loadBalancer": {"ingress": list(target) or None}}})
        try:
            await self._api.send("PATCH", path, body, MERGE_PATCH)
        except ApiError as error:
            if error.status == 404:
                return True
            self.failures += 1
            _log.warning("status of ingress %s: %s", name, error)
            return False
        self._shown[name] = target
        self.written += 1
        return True
