"""What an Ingress' annotations say of how its requests are taken on: settings -> policies of its routes.

Pure. Owns which settings make which policy. Must not know hosts or paths; redirects to https and rewrites, which depend
on them, are made elsewhere (``claims``, ``routes``).
"""

from __future__ import annotations

from proto.policies import (
    AccessLog,
    BackendProtocol,
    EndpointTLS,
    NextUpstream,
    Policy,
    ProxyTimeouts,
    RequestBody,
    ResponseBuffering,
    Tracing,
)
from services.compiler.core.answers import answers_of
from services.compiler.core.balancing import affinity_of
from services.compiler.core.copies import copies_of
from services.compiler.core.guards import guards_of
from services.compiler.core.responses import responses_of
from services.contract.annotations.settings import AnnotationSettings


def policies_of(settings: AnnotationSettings, fallback: str = "") -> tuple[Policy, ...]:
    """The policies that every route of the Ingress carries; none for what it says nothing of. ``fallback``: the
    Upstream of ``default-backend``."""
    policies = [*answers_of(settings, fallback), *affinity_of(settings), *responses_of(settings), *guards_of(settings)]
    timeouts = ProxyTimeouts(
        _seconds(settings.proxy_connect_timeout),
        _seconds(settings.proxy_read_timeout),
        _seconds(settings.proxy_send_timeout),
    )
    if timeouts != ProxyTimeouts():
        policies.append(timeouts)
    body = RequestBody(
        settings.proxy_body_size, _switched(settings.proxy_request_buffering), settings.client_body_buffer_size
    )
    if body != RequestBody():
        policies.append(body)
    buffering = ResponseBuffering(
        _switched(settings.proxy_buffering),
        settings.proxy_buffer_size,
        settings.proxy_buffers_number,
        settings.proxy_max_temp_file_size,
    )
    if buffering != ResponseBuffering():
        policies.append(buffering)
    another = NextUpstream(
        settings.proxy_next_upstream,
        settings.proxy_next_upstream_tries,
        _seconds(settings.proxy_next_upstream_timeout),
    )
    if another != NextUpstream():
        policies.append(another)
    policies += copies_of(settings)
    if not settings.access_log:
        policies.append(AccessLog(enabled=False))
    tracing = Tracing(
        settings.enable_opentelemetry,
        settings.opentelemetry_trust_incoming_span,
        settings.opentelemetry_operation_name,
    )
    if tracing != Tracing():
        policies.append(tracing)
    match settings.backend_protocol:
        case "HTTPS":
            policies.append(BackendProtocol("https"))
        case "GRPC":
            policies.append(BackendProtocol("grpc"))
        case "GRPCS":
            policies.append(BackendProtocol("grpcs"))
        case "AUTO_HTTP":
            policies.append(BackendProtocol("auto-http"))
    return tuple(policies)


def endpoint_tls_of(settings: AnnotationSettings) -> EndpointTLS | None:
    """What the Ingress says of TLS to endpoints; whether its Secret is good for that is not judged here."""
    if not settings.proxy_ssl_secret:
        return None
    return EndpointTLS(
        settings.proxy_ssl_secret,
        settings.proxy_ssl_verify == "on",
        settings.proxy_ssl_verify_depth or 1,
        settings.proxy_ssl_name,
        settings.proxy_ssl_server_name == "on",
        settings.proxy_ssl_protocols,
        settings.proxy_ssl_ciphers,
    )


def _switched(word: str) -> bool | None:
    return word == "on" if word else None


def _seconds(number: int | None) -> float | None:
    return None if number is None else float(number)
