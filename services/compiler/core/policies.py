"""What an Ingress' annotations say of how its requests are taken on: settings -> policies of its routes.

Pure. Owns which settings make which policy. Must not know hosts or paths; redirects to https and rewrites, which depend
on them, are made elsewhere (``claims``, ``routes``).
"""

from __future__ import annotations

from collections.abc import Iterator

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
    return (
        *answers_of(settings, fallback),
        *affinity_of(settings),
        *responses_of(settings),
        *guards_of(settings),
        *_proxying(settings),
        *copies_of(settings),
        *_observing(settings),
        *_protocol(settings),
    )


def _proxying(settings: AnnotationSettings) -> Iterator[Policy]:
    """How requests and responses are passed on."""
    timeouts = ProxyTimeouts(
        _seconds(settings.proxy_connect_timeout),
        _seconds(settings.proxy_read_timeout),
        _seconds(settings.proxy_send_timeout),
    )
    body = RequestBody(
        settings.proxy_body_size, _switched(settings.proxy_request_buffering), settings.client_body_buffer_size
    )
    buffering = ResponseBuffering(
        _switched(settings.proxy_buffering),
        settings.proxy_buffer_size,
        settings.proxy_buffers_number,
        settings.proxy_max_temp_file_size,
    )
    another = NextUpstream(
        settings.proxy_next_upstream,
        settings.proxy_next_upstream_tries,
        _seconds(settings.proxy_next_upstream_timeout),
    )
    for policy in (timeouts, body, buffering, another):
        if policy != type(policy)():
            yield policy


def _observing(settings: AnnotationSettings) -> Iterator[Policy]:
    if not settings.access_log:
        yield AccessLog(enabled=False)
    tracing = Tracing(
        settings.enable_opentelemetry,
        settings.opentelemetry_trust_incoming_span,
        settings.opentelemetry_operation_name,
    )
    if tracing != Tracing():
        yield tracing


def _protocol(settings: AnnotationSettings) -> Iterator[Policy]:
    match settings.backend_protocol:
        case "HTTPS":
            yield BackendProtocol("https")
        case "GRPC":
            yield BackendProtocol("grpc")
        case "GRPCS":
            yield BackendProtocol("grpcs")
        case "AUTO_HTTP":
            yield BackendProtocol("auto-http")


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
