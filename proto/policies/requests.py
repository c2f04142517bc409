"""Policies about heads of requests for endpoints."""

from __future__ import annotations

from msgspec import Struct


class RequestHop(Struct, frozen=True, array_like=True, tag="request-hop", gc=False):
    """How a request is sent over one connection; None and empty: the global setting, what is usual.

    ``version``: of HTTP (``proxy-http-version``), ``1.0`` or ``1.1``; ``connection``: the Connection header
    (``connection-proxy-header``).
    """

    version: str | None = None
    connection: str = ""
