"""The parts of an active watcher, put together: source → hub (inventory, outbox) → publisher, and the write-back.

Wiring only. A watcher in standby has none of this; a new one is made each time it becomes active.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from msgspec import Struct

from proto.objects import Kind, ObjectKey
from proto.sealing import Sealer
from proto.signing import ObjectAuthenticator
from proto.subjects import Subjects
from services.contract.references import references_of_flags
from services.runtime.bus import Bus
from services.runtime.settings import namespaced_name
from services.watcher.hub import Hub
from services.watcher.inventory import Inventory
from services.watcher.observed import Change, Sink, SourceName
from services.watcher.options import WatcherOptions
from services.watcher.outbox import Outbox
from services.watcher.publisher import Publisher
from services.watcher.secrets import seal_secret


class Running(Protocol):
    """A source."""

    def look_again(self, kinds: frozenset[Kind]) -> None:
        """List these kinds once more, soon."""

    def run(self) -> Coroutine[Any, Any, None]:
        """Follow what there is to follow, for ever."""


class Keys(Struct, frozen=True):
    """What a watcher seals and authenticates with."""

    sealer: Sealer
    authenticator: ObjectAuthenticator


class Work:
    """One active watcher. ``make_source`` is given the sink; ``watched`` sees every change; while
    ``permitted`` says no, nothing is published."""

    def __init__(
        self,
        options: WatcherOptions,
        keys: Keys,
        bus: Bus,
        name: SourceName,
        make_source: Callable[[Sink], Running],
        watched: Callable[[Change], None] = lambda change: None,
        permitted: Callable[[], bool] = lambda: True,
    ) -> None:
        subjects = Subjects(options.instance)
        inventory = Inventory(
            lambda raw, previous: seal_secret(raw, keys.sealer, previous),
            classes=options,
            pinned=pinned(options),
            controller_map=controller_map(options),
            by_namespace=bool(options.watch_namespace_selector),
        )
        self.outbox = Outbox(options.instance, keys.authenticator)
        self.hub = Hub(
            name,
            inventory,
            self.outbox,
            send=self._send,
            announce=self._announce,
            look_again=self._look_again,
            watched=watched,
        )
        self.publisher = Publisher(
            bus,
            subjects,
            self.outbox,
            replicas=options.replicas,
            permitted=permitted,
            complete=lambda: self.hub.complete,
            beacon=self.hub.beacon,
            adopted=self.hub.adopted,
            refused=lambda outgoing: self.hub.refused(outgoing.key),
        )
        self.source = make_source(self.hub)

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.publisher.run())
            group.create_task(self.source.run())

    def _send(self) -> None:
        self.publisher.kick()

    def _announce(self) -> None:
        self.publisher.announce()

    def _look_again(self, kinds: frozenset[Kind]) -> None:
        self.source.look_again(kinds)


def controller_map(options: WatcherOptions) -> ObjectKey | None:
    """The controller's own ConfigMap. Raises SettingsError."""
    return ObjectKey("configmap", *namespaced_name("--configmap", options.configmap)) if options.configmap else None


def pinned(options: WatcherOptions) -> frozenset[ObjectKey]:
    """The objects that flags name. Raises SettingsError."""
    for option in (
        "default_ssl_certificate",
        "default_backend_service",
        "publish_service",
        "tcp_services_configmap",
        "udp_services_configmap",
    ):
        if value := getattr(options, option):
            namespaced_name(f"--{option.replace('_', '-')}", value)
    return references_of_flags(
        configmap=options.configmap,
        default_ssl_certificate=options.default_ssl_certificate,
        default_backend_service=options.default_backend_service,
        tcp_services_configmap=options.tcp_services_configmap,
        udp_services_configmap=options.udp_services_configmap,
    )
