"""Spans as OpenTelemetry's protocol writes them: the only module that knows its messages.

They are those of the package ``opentelemetry-proto``, which is generated from the protocol's own files: 4 MiB and 20 ms
to load, which is done when there is something to send, and 6 µs for a span, which is not done while a request waits.
Names of attributes are those of the OpenTelemetry module of nginx, so that what looks for them finds them.
"""

from __future__ import annotations

import socket
from time import monotonic, time_ns
from typing import Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from services.edge.tracing.finished import Finished
from services.runtime.version import software

_FLAVORS: Final = {0: "1.0", 1: "1.1", 2: "2.0"}
_FAILED: Final = 500
"""From this status on the span of a server says that it failed."""


class Batch:
    """Spans that go out together, one after the other put in. ``service``: who says that it made them."""

    def __init__(self, service: str) -> None:
        self._request = ExportTraceServiceRequest()
        resource = self._request.resource_spans.add()
        described = {
            "service.name": service,
            "telemetry.sdk.name": "limen",
            "telemetry.sdk.language": "python",
            "telemetry.sdk.version": software(),
            "host.name": socket.gethostname(),
        }
        for name, value in described.items():
            resource.resource.attributes.add(key=name).value.string_value = value
        scope = resource.scope_spans.add()
        scope.scope.name = "limen"
        scope.scope.version = software()
        self._spans = scope.spans
        self._since = time_ns() - int(monotonic() * 1e9)

    def add(self, finished: Finished) -> None:
        """Put one in."""
        trace = finished.trace
        span = self._spans.add(
            trace_id=trace.trace_id,
            span_id=trace.span_id,
            parent_span_id=trace.parent,
            trace_state=_text(trace.state),
            name=trace.name,
            kind=Span.SPAN_KIND_SERVER,
            start_time_unix_nano=self._since + int(finished.started * 1e9),
            end_time_unix_nano=self._since + int(finished.ended * 1e9),
            flags=1,
        )
        attributes = span.attributes
        for name, value in _texts(finished):
            if value:
                attributes.add(key=name).value.string_value = value
        for name, number in _numbers(finished):
            if number:
                attributes.add(key=name).value.int_value = number
        if finished.status >= _FAILED:
            span.status.code = Status.STATUS_CODE_ERROR

    def encode(self) -> bytes:
        """The message."""
        return bytes(self._request.SerializeToString())


def _texts(finished: Finished) -> tuple[tuple[str, str], ...]:
    labels = finished.labels
    return (
        ("http.method", _text(finished.method)),
        ("http.target", _text(finished.target)),
        ("http.flavor", _FLAVORS[finished.minor]),
        ("http.scheme", finished.scheme),
        ("http.host", _text(finished.host)),
        ("http.server_name", finished.server),
        ("http.user_agent", _text(finished.agent)),
        ("net.peer.ip", finished.peer),
        ("ingress.namespace", labels.namespace),
        ("ingress.name", labels.ingress),
        ("ingress.service_name", labels.service),
        ("ingress.upstream", labels.upstream.decode()),
    )


def _numbers(finished: Finished) -> tuple[tuple[str, int], ...]:
    return (
        ("http.status_code", finished.status),
        ("net.host.port", finished.port),
        ("net.peer.port", finished.peer_port),
    )


def rejected_in(answer: bytes) -> int:
    """How many of the spans a collector did not take. Raises ValueError for an answer that is none."""
    try:
        return int(ExportTraceServiceResponse.FromString(answer).partial_success.rejected_spans)
    except Exception as error:  # protobuf's own errors have no base that is part of its interface
        raise ValueError(f"an answer that cannot be read: {error}") from None


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")
