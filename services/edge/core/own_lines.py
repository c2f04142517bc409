"""What the edge itself says in heads of responses, as the settings have it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proto.resources import Settings
from services.edge.core.response_head import NAMELESS, Naming

if TYPE_CHECKING:
    from services.edge.core.generation import Generation


def own_lines(generation: Generation | None, tls: bool) -> bytes:
    """The lines that an answer of the edge itself carries besides what every page has."""
    if generation is None:
        return b""
    lines = generation.added_lines + generation.security_line if tls else generation.added_lines
    return lines + generation.naming.own


def naming_of(settings: Settings) -> Naming:
    """What clients are told of who serves them (``server-tokens``, ``allow-backend-server-header``)."""
    return Naming(b"Server: limen\r\n", settings.allow_backend_server_header) if settings.server_tokens else NAMELESS


def security_line(settings: Settings) -> bytes:
    """The Strict-Transport-Security line of https responses, with its CRLF; empty if there is none."""
    if not settings.hsts:
        return b""
    subdomains = "; includeSubDomains" if settings.hsts_include_subdomains else ""
    preload = "; preload" if settings.hsts_preload else ""
    return f"Strict-Transport-Security: max-age={settings.hsts_max_age}{subdomains}{preload}\r\n".encode()
