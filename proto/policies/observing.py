"""Policies about what is told of requests, to nobody who takes part in them."""

from __future__ import annotations

from msgspec import Struct


class Tracing(Struct, frozen=True, array_like=True, tag="tracing", gc=False):
    """Spans of requests; None and empty: the global setting holds.

    ``enabled``: there are any (``enable-opentelemetry``); ``trusts``: the client's span is the parent
    (``opentelemetry-trust-incoming-span``); ``operation``: their name, with nginx's variables
    (``opentelemetry-operation-name``).
    """

    enabled: bool | None = None
    trusts: bool | None = None
    operation: str = ""
