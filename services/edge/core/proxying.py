"""How requests of a route are taken to their endpoints: what `proxy-*` settings come to for one route.

Owns ``Proxying`` and how it follows from the Settings and a route's policies. Pure. A route that says nothing of its
own shares the generation's one instance, so that it costs nothing; a request reads it by ``forward.proxying``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from proto.policies import NextUpstream, Policy, ProxyTimeouts, RequestBody, RequestHop, ResponseBuffering
from proto.resources import Settings
from services.edge.core.grammar import RESPONSE_LIMIT
from services.edge.core.transport import PLAIN, Transport

SENT_ONCE: Final = frozenset((b"POST", b"LOCK", b"PATCH"))
"""Methods that are never sent again once they were sent (nginx: ``non_idempotent``)."""

UNLIMITED: Final = 1 << 62
"""The ``body_limit`` of bodies that may have any size."""

_STATUS_CONDITIONS: Final = {f"http_{status}": status for status in (500, 502, 503, 504, 403, 404, 429)}


class Proxying(Struct, frozen=True, gc=False):
    """See the module. Times in seconds; the defaults are those of ingress-nginx.

    ``next_on_error``, ``next_on_timeout``, ``next_on_invalid``, ``next_on_status``: after which failures of an endpoint
    another one is tried; ``next_non_idempotent``: also requests whose methods are in ``SENT_ONCE``, though they were
    sent. ``tries``: how many endpoints a request is offered to; 0: each once. ``next_upstream_timeout``: since when
    the first was tried no other one is any more; 0: never. ``transport``: how endpoints are spoken to.
    ``body_limit``: bytes that a request's body may have; ``request_buffering``: it is collected before an endpoint
    hears of it, ``body_memory`` bytes of it at least in memory. ``response_memory`` bytes of a response that its client
    takes slowly wait in memory, and ``response_file`` in a file; both 0: the endpoint waits. ``head_limit``: the
    largest head of a response.
    """

    connect_timeout: float = 5.0
    read_timeout: float = 60.0
    send_timeout: float = 60.0
    next_on_error: bool = True
    next_on_timeout: bool = True
    next_on_invalid: bool = False
    next_on_status: frozenset[int] = frozenset()
    next_non_idempotent: bool = False
    tries: int = 3
    next_upstream_timeout: float = 0.0
    transport: Transport = PLAIN
    body_limit: int = 1024 * 1024
    request_buffering: bool = True
    body_memory: int = 8 * 1024
    response_memory: int = 0
    response_file: int = 0
    head_limit: int = RESPONSE_LIMIT


def proxying_of(settings: Settings) -> Proxying:
    """What holds for routes that say nothing of their own."""
    proxying = Proxying(
        connect_timeout=settings.proxy_connect_timeout,
        read_timeout=settings.proxy_read_timeout,
        send_timeout=settings.proxy_send_timeout,
        tries=settings.proxy_next_upstream_tries,
        next_upstream_timeout=settings.proxy_next_upstream_timeout,
        body_limit=settings.proxy_body_size or UNLIMITED,
        request_buffering=settings.proxy_request_buffering or settings.proxy_http_version == "1.0",
        body_memory=settings.client_body_buffer_size,
    )
    proxying = _with_buffering(proxying, ResponseBuffering(), settings)
    return _with_conditions(proxying, settings.proxy_next_upstream, settings.retry_non_idempotent)


def proxying_for(policies: Iterable[Policy], shared: Proxying, settings: Settings) -> Proxying:
    """What holds for a route with ``policies``: ``shared`` itself where none of them speaks of it."""
    proxying = shared
    for policy in policies:
        if isinstance(policy, ProxyTimeouts):
            proxying = replace(
                proxying,
                connect_timeout=_own(policy.connect, proxying.connect_timeout),
                read_timeout=_own(policy.read, proxying.read_timeout),
                send_timeout=_own(policy.send, proxying.send_timeout),
            )
        elif isinstance(policy, RequestBody):
            proxying = replace(
                proxying,
                body_limit=proxying.body_limit if policy.limit is None else policy.limit or UNLIMITED,
                request_buffering=proxying.request_buffering if policy.collected is None else policy.collected,
                body_memory=proxying.body_memory if policy.memory is None else policy.memory,
            )
        elif isinstance(policy, ResponseBuffering):
            proxying = _with_buffering(proxying, policy, settings)
        elif isinstance(policy, NextUpstream):
            proxying = replace(
                proxying,
                tries=proxying.tries if policy.tries is None else policy.tries,
                next_upstream_timeout=_own(policy.timeout, proxying.next_upstream_timeout),
            )
            if policy.conditions is not None:
                proxying = _with_conditions(proxying, policy.conditions, settings.retry_non_idempotent)
    return replace(proxying, request_buffering=True) if _old(policies, settings) else proxying


def _old(policies: Iterable[Policy], settings: Settings) -> bool:
    """Whether endpoints are spoken to in HTTP/1.0, which has no chunks: then a body's length has to be known."""
    hops = (policy.version for policy in policies if isinstance(policy, RequestHop) and policy.version)
    return next(hops, settings.proxy_http_version) == "1.0"


def _own(own: float | None, shared: float) -> float:
    return shared if own is None else own


def _with_buffering(proxying: Proxying, policy: ResponseBuffering, settings: Settings) -> Proxying:
    """nginx: ``proxy_buffering``, ``proxy_buffers``, ``proxy_max_temp_file_size``, ``proxy_buffer_size``."""
    enabled = settings.proxy_buffering if policy.enabled is None else policy.enabled
    piece = settings.proxy_buffer_size if policy.piece is None else policy.piece
    pieces = settings.proxy_buffers_number if policy.pieces is None else policy.pieces
    file = settings.proxy_max_temp_file_size if policy.file is None else policy.file
    return replace(
        proxying,
        response_memory=max(piece * pieces, 1) if enabled else 0,
        response_file=file if enabled else 0,
        head_limit=max(piece, RESPONSE_LIMIT),
    )


def _with_conditions(proxying: Proxying, conditions: Iterable[str], non_idempotent: bool) -> Proxying:
    """nginx: ``proxy_next_upstream``. ``off`` switches everything off, whatever stands beside it."""
    named = frozenset(conditions)
    if "off" in named:
        named = frozenset()
    return replace(
        proxying,
        next_on_error="error" in named,
        next_on_timeout="timeout" in named,
        next_on_invalid="invalid_header" in named,
        next_on_status=frozenset(status for name, status in _STATUS_CONDITIONS.items() if name in named),
        next_non_idempotent=non_idempotent or "non_idempotent" in named,
    )
