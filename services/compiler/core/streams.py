"""The ConfigMaps of TCP and UDP services -> Streams: what comes to a port goes to a Service (contract section 1.11).

Owns the Streams of ports in the table, and what is said of entries that cannot be served: each is named, and the
others do not suffer. Must not know hosts; their own Streams (TLS that passes unopened) are ``passthrough``'s.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, Literal

from proto.codec import record_of
from proto.diagnostics import Diagnostic
from proto.objects import ObjectKey
from proto.resources import ResourceKey, Stream
from services.compiler.core.options import CompileOptions
from services.compiler.core.store import ObjectStore
from services.compiler.core.table import CompiledTable
from services.compiler.core.upstreams import parse_name
from services.compiler.core.upstreamset import UpstreamSet
from services.contract.annotations.values import MalformedError
from services.contract.diagnostics import finding
from services.contract.stream_services import parse_external_port, parse_stream_service

Protocol = Literal["tcp", "udp"]

RESERVED: Final = {80: "HTTP", 443: "HTTPS", 10254: "health and metrics"}
"""Ports of TCP that ingress-nginx refuses, with what is served there; an edge refuses those that it has otherwise."""
_WORDS: Final = {
    "service-not-found": "Service {service} does not exist",
    "service-port-not-found": "Service {service} has no port {port} of this protocol",
    "service-external-name-refused": "The external name of Service {service} cannot be used",
}


class StreamSet:
    """Streams of ports. ``upstreams``: those that they go to."""

    def __init__(
        self, options: CompileOptions, store: ObjectStore, table: CompiledTable, upstreams: UpstreamSet
    ) -> None:
        self._maps: tuple[tuple[Protocol, str], ...] = (
            ("tcp", options.tcp_services_configmap),
            ("udp", options.udp_services_configmap),
        )
        self._store = store
        self._table = table
        self._upstreams = upstreams
        self._compiled: dict[str, Stream] = {}
        self._own: list[Diagnostic] = []
        self._entries: dict[str, list[tuple[ObjectKey, str, str]]] = {}
        self._dirty = True

    def touch_configmap(self, name: str) -> bool:
        """A ConfigMap changed. Returns whether Streams come from it."""
        concerns = any(name == configmap for _, configmap in self._maps)
        self._dirty |= concerns
        return concerns

    def compile(self) -> None:
        """Compile the Streams if their ConfigMaps changed, and say to which Upstreams they go."""
        if not self._dirty:
            return
        self._dirty = False
        self._own, self._entries = [], {}
        found: dict[str, Stream] = {}
        for protocol, configmap in self._maps:
            if configmap:
                self._read(protocol, configmap, found)
        for name in self._compiled.keys() - found.keys():
            self._table.remove(ResourceKey("stream", name))
        for name, stream in found.items():
            self._table.put(record_of(name, stream))
        self._compiled = found
        self._upstreams.lean("streams", dict.fromkeys((stream.upstream for stream in found.values()), 0))

    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """What is to be said of all entries, as of the last compile of Upstreams."""
        found = list(self._own)
        for upstream, entries in self._entries.items():
            problem = self._upstreams.problem(upstream)
            if not problem:
                continue
            namespace, service, port = parse_name(upstream)
            words = _WORDS.get(problem, "The compiler failed on Service {service}")
            message = words.format(service=f"{namespace}/{service}", port=port.partition("/")[0])
            for key, field, value in entries:
                found.append(
                    finding(key, "stream-service-unusable", field, value, f"{message}. Connections are closed at once.",
                            "Name a Service and one of its ports by number or name.")
                )  # fmt: skip
        return tuple(found)

    def _read(self, protocol: Protocol, configmap: str, found: dict[str, Stream]) -> None:
        namespace, _, bare = configmap.partition("/")
        key = ObjectKey("configmap", namespace, bare)
        value = self._store.configmaps.get(configmap)
        if value is None:
            flag = f"--{protocol}-services-configmap"
            message = f"ConfigMap {configmap} does not exist. There are no {protocol.upper()} services."
            self._own.append(
                finding(key, "streams-not-found", "", configmap, message, f"Create it, or correct {flag}.")
            )
            return
        for name in sorted(value.data, key=lambda name: (not name.isdigit(), name)):
            self._entry(protocol, key, name, value.data[name], found)

    def _entry(self, protocol: Protocol, key: ObjectKey, name: str, text: str, found: dict[str, Stream]) -> None:
        field = f"data[{name}]"
        try:
            port = _free_port(name, protocol, found)
        except MalformedError as error:
            self._invalid(key, field, text, f"The key {name!r} {error}", "Write a port that nothing else has.")
            return
        try:
            service = parse_stream_service(port, text)
        except MalformedError as error:
            remedy = "Write namespace/service:port, perhaps with :PROXY behind it."
            self._invalid(key, field, text, f"The value of {name} {error}", remedy)
            return
        words = service.unknown
        if protocol == "udp":
            words = (*words, *["PROXY"] * (service.reads_proxy + service.writes_proxy))
        if words:
            self._own.append(
                finding(key, "stream-word-without-effect", field, text, f"{words[0]} has no effect here.",
                        "Write PROXY, and only for TCP: first to read a PROXY header, then to send one.")
            )  # fmt: skip
        upstream = f"{service.namespace}/{service.name}:{service.service_port}/{protocol}"
        by_tcp = protocol == "tcp"
        found[f"{protocol}:{port}"] = Stream(
            protocol, upstream, port, by_tcp and service.reads_proxy, by_tcp and service.writes_proxy
        )
        self._entries.setdefault(upstream, []).append((key, field, text))

    def _invalid(self, key: ObjectKey, field: str, value: str, message: str, remedy: str) -> None:
        self._own.append(finding(key, "stream-invalid", field, value, f"{message}. This entry is not served.", remedy))


def _free_port(name: str, protocol: Protocol, taken: Collection[str]) -> int:
    """The port of an entry. Raises MalformedError."""
    port = parse_external_port(name)
    if protocol == "tcp" and port in RESERVED:
        raise MalformedError(f"is reserved for {RESERVED[port]}")
    if f"{protocol}:{port}" in taken:
        raise MalformedError("is the same port as another key")
    return port
