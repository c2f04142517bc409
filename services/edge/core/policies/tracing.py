"""A span for each request of a route: begun before anybody else looks at it, told to the endpoint. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from proto.policies import Tracing
from services.edge.core.asked import Asked
from services.edge.core.asked_values import filled
from services.edge.core.outcomes import Ask, Check, Outcome, Pass
from services.edge.core.tracing import NAME_AT_MOST, Parent, Trace, parent_of, sampler_of

if TYPE_CHECKING:
    from services.edge.core.phases import Context

_USUAL = Tracing()


class Identifiers(Struct, frozen=True):
    """The question for 24 bytes that nobody had before: a trace's id and a span's."""


_IDENTIFIERS = Identifiers()


def traced(context: Context) -> Check | None:
    """``enable-opentelemetry``: of the Ingress, else of the ConfigMap. The name of a span is the path as the Ingress
    spells it, where ``opentelemetry-operation-name`` says nothing."""
    settings = context.settings
    policy = next((policy for policy in context.route.policies if isinstance(policy, Tracing)), _USUAL)
    if not (settings.enable_opentelemetry if policy.enabled is None else policy.enabled):
        return None
    trusts = settings.opentelemetry_trust_incoming_span if policy.trusts is None else policy.trusts
    operation = policy.operation or settings.opentelemetry_operation_name
    name = filled(operation) if operation else None
    usual = context.route.path.encode() or b"/"
    sampler = sampler_of(settings)

    def begun(asked: Asked, parent: Parent | None, ids: bytes) -> Pass:
        trace_id = ids[:16] if parent is None else parent.trace_id
        sampled = sampler.keeps(trace_id, parent)
        called = (usual if name is None else name(asked)[:NAME_AT_MOST] or usual) if sampled else b""
        before, state = (b"", b"") if parent is None else (parent.span_id, parent.state)
        trace = Trace(trace_id, ids[16:], before, state, sampled, called.decode("utf-8", "replace"))
        return Pass(request=trace.edit, trace=trace)

    def check(asked: Asked) -> Outcome:
        parent = parent_of(asked.header("traceparent"), asked.header("tracestate")) if trusts else None
        return Ask(_IDENTIFIERS, lambda ids: begun(asked, parent, ids))

    return check
