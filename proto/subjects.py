"""Subjects and streams: where each message stands on the bus.

The instance (``--instance``, default ``limen``) is the first token of every subject and, in upper case, the prefix of
every stream. Kubernetes names hold dots and hosts hold ``*``: ``token`` makes any text one readable token.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

from proto.objects import ObjectKey

DEFAULT_INSTANCE: Final = "limen"

_INSTANCE = re.compile(r"[a-z][a-z0-9-]{0,31}")
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]")


def token(text: str) -> str:
    """``text`` as one subject token: ``.`` becomes ``~``, other special characters ``%XX`` of their UTF-8, and the
    empty text ``-`` (a lone ``-`` becomes ``%2D``). ``untoken`` undoes it."""
    if text == "":
        return "-"
    if text == "-":
        return "%2D"
    return _UNSAFE.sub(lambda m: "~" if m[0] == "." else "".join(f"%{b:02X}" for b in m[0].encode()), text)


def untoken(text: str) -> str:
    """The text that ``token`` encoded."""
    if text == "-":
        return ""
    raw = text.replace("~", ".")
    return re.sub(r"(?:%[0-9A-F]{2})+", lambda m: bytes.fromhex(m[0].replace("%", "")).decode(), raw)


class Subjects(Struct, frozen=True):
    """Every subject and stream name of one instance. Raises ValueError for an instance that is not [a-z][a-z0-9-]*."""

    instance: str = DEFAULT_INSTANCE

    def __post_init__(self) -> None:
        if not _INSTANCE.fullmatch(self.instance):
            raise ValueError(f"instance {self.instance!r}: use 1 to 32 of a-z, 0-9 and '-', starting with a letter")

    def _stream(self, name: str) -> str:
        return f"{self.instance.upper()}_{name}"

    @property
    def objects_stream(self) -> str:
        """The last message of each object."""
        return self._stream("OBJECTS")

    @property
    def accepted_stream(self) -> str:
        """The last accepted version of each Ingress."""
        return self._stream("ACCEPTED")

    @property
    def deltas_stream(self) -> str:
        """The log."""
        return self._stream("DELTAS")

    @property
    def bases_stream(self) -> str:
        """Packed snapshots in chunks."""
        return self._stream("BASES")

    @property
    def events_stream(self) -> str:
        """Route events."""
        return self._stream("EVENTS")

    @property
    def edges_bucket(self) -> str:
        """The KV bucket of edge reports."""
        return self._stream("EDGES")

    def object(self, key: ObjectKey) -> str:
        """Where an object stands."""
        return f"{self.instance}.objects.{key.kind}.{token(key.namespace)}.{token(key.name)}"

    @property
    def objects(self) -> str:
        """All objects."""
        return f"{self.instance}.objects.>"

    def accepted(self, namespace: str, name: str) -> str:
        """Where the last accepted version of an Ingress stands."""
        return f"{self.instance}.accepted.{token(namespace)}.{token(name)}"

    @property
    def all_accepted(self) -> str:
        """All accepted Ingresses."""
        return f"{self.instance}.accepted.>"

    @property
    def delta(self) -> str:
        """The log's subject. Nobody subscribes here (refused appends show up too): follow ``live_delta``."""
        return f"{self.instance}.snapshots.delta"

    @property
    def live_delta(self) -> str:
        """Where the server republishes what the log stored."""
        return f"{self.instance}.live.delta"

    def base_chunk(self, epoch: int, version: int, chunk: int) -> str:
        """Where chunk number ``chunk`` (from 0) of a base stands."""
        return f"{self.instance}.snapshots.base.{epoch}-{version}.{chunk}"

    @property
    def bases(self) -> str:
        """All base chunks."""
        return f"{self.instance}.snapshots.base.>"

    def edge_report(self, worker: str) -> str:
        """Where a worker's last report stands (the subject of its key in the KV bucket)."""
        return f"$KV.{self.edges_bucket}.{token(worker)}"

    @property
    def edge_reports(self) -> str:
        """All reports of edges."""
        return f"$KV.{self.edges_bucket}.>"

    def event(self, type_: str, namespace: str, name: str) -> str:
        """Where a route event goes; ``type_`` is two words with a dot, e.g. ``ingress.accepted``."""
        return f"{self.instance}.events.{type_}.{token(namespace)}.{token(name)}"

    @property
    def events(self) -> str:
        """All route events."""
        return f"{self.instance}.events.>"

    @property
    def beacon(self) -> str:
        """The active watcher's beacon (not stored)."""
        return f"{self.instance}.beacon.watcher"

    @property
    def status_request(self) -> str:
        """A request here is answered by every role with its status (scatter and gather)."""
        return f"{self.instance}.status"

    @property
    def approve_request(self) -> str:
        """A request here lets a held mass removal pass; the active compiler answers."""
        return f"{self.instance}.approve"

    @property
    def findings(self) -> str:
        """The compiler's diagnostics for the watcher, which writes them back as Kubernetes Events and status."""
        return f"{self.instance}.findings"
