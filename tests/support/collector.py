"""A collector of spans with the real ``grpcio`` and the messages of ``opentelemetry-proto``, on the test's own loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

SERVICE = "opentelemetry.proto.collector.trace.v1.TraceService"


@dataclass
class Span:
    """A span as it came, with what stands around it."""

    name: str
    trace: str
    id: str
    parent: str
    kind: int
    status: int
    state: str
    seconds: float
    started: float
    attributes: dict[str, str | int]
    resource: dict[str, str | int]


@dataclass
class Collected:
    """What came. ``refuse``: the status that calls are answered with; ``reject``: how many spans of each call are not
    taken; ``go_on``: calls wait for it."""

    port: int = 0
    calls: int = 0
    sizes: list[int] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    peers: set[str] = field(default_factory=set)
    metadata: list[dict[str, Any]] = field(default_factory=list)
    refuse: grpc.StatusCode | None = None
    reject: int = 0
    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def export(
        self, request: ExportTraceServiceRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> ExportTraceServiceResponse:
        """One call."""
        self.calls += 1
        self.peers.add(context.peer())
        self.metadata.append(dict(context.invocation_metadata() or ()))
        await self.go_on.wait()
        if self.refuse is not None:
            await context.abort(self.refuse, "not now")
        before = len(self.spans)
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                self.spans += [_span(span, _plain(resource.resource.attributes)) for span in scope.spans]
        self.sizes.append(len(self.spans) - before)
        answer = ExportTraceServiceResponse()
        answer.partial_success.rejected_spans = self.reject
        return answer

    def named(self, name: str) -> Span:
        """The one span of that name."""
        (found,) = [span for span in self.spans if span.name == name]
        return found


def _plain(attributes: Any) -> dict[str, str | int]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in attributes}


def _span(span: Any, resource: dict[str, str | int]) -> Span:
    return Span(
        span.name,
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.kind,
        span.status.code,
        span.trace_state,
        (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
        span.start_time_unix_nano / 1e9,
        _plain(span.attributes),
        resource,
    )


@asynccontextmanager
async def collector(port: int = 0, *, open: bool = True) -> AsyncIterator[Collected]:
    """A collector on 127.0.0.1; ``open``: it answers at once."""
    made = Collected()
    if open:
        made.go_on.set()
    server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
    handler = grpc.unary_unary_rpc_method_handler(
        made.export,
        request_deserializer=ExportTraceServiceRequest.FromString,
        response_serializer=ExportTraceServiceResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {"Export": handler}),))
    made.port = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    try:
        yield made
    finally:
        made.go_on.set()
        await server.stop(0)
