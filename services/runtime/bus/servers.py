"""URLs of NATS servers: read, and shown without what logs in."""

from __future__ import annotations

from urllib.parse import urlsplit

from services.runtime.bus.values import BusError


def checked(server: str) -> str:
    """The server as a whole URL. Raises BusError for what can never be one."""
    whole = server if "://" in server else f"nats://{server}"
    try:
        parts = urlsplit(whole)
        usable = bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise BusError(f"NATS server {whole.rpartition('@')[2]!r} is not a URL such as nats://127.0.0.1:4222")
    if parts.scheme not in ("nats", "tls"):
        shown = without_credentials(whole)
        raise BusError(f"NATS server {shown}: {parts.scheme}:// is not supported, use nats:// or tls://")
    return whole


def with_login_of(server: str, place: str) -> str:
    """The URL of another server of the same cluster: its ``host:port``, with the scheme and login of ``server``."""
    parts = urlsplit(server)
    login, at, _ = parts.netloc.rpartition("@")
    return f"{parts.scheme}://{login}{at}{place}"


def without_credentials(server: str) -> str:
    """The URL as it may be shown."""
    parts = urlsplit(server)
    return f"{parts.scheme}://{parts.hostname}:{parts.port or 4222}"
