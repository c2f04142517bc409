"""Policies about how requests are taken to their endpoints, and responses back."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


class ProxyTimeouts(Struct, frozen=True, array_like=True, tag="proxy-timeouts", gc=False):
    """How long an endpoint may take, in seconds; None: the global setting holds.

    ``connect``: to take a connection (``proxy-connect-timeout``); ``read`` and ``send``: between two reads and two
    writes (``proxy-read-timeout``, ``proxy-send-timeout``).
    """

    connect: float | None = None
    read: float | None = None
    send: float | None = None


class RequestBody(Struct, frozen=True, array_like=True, tag="request-body", gc=False):
    """What a request's body may be and how it is taken on; None: the global setting holds.

    ``limit``: its largest size in bytes, 0: any (``proxy-body-size``); ``collected``: the whole body is here before an
    endpoint hears of the request (``proxy-request-buffering``), so many bytes of it in ``memory``
    (``client-body-buffer-size``).
    """

    limit: int | None = None
    collected: bool | None = None
    memory: int | None = None


class ResponseBuffering(Struct, frozen=True, array_like=True, tag="response-buffering", gc=False):
    """Whether endpoints are relieved of responses that clients take slowly; None: the global setting holds.

    ``enabled``: they are (``proxy-buffering``), ``pieces`` times ``piece`` bytes in memory (``proxy-buffers-number``,
    ``proxy-buffer-size``) and ``file`` bytes in a file (``proxy-max-temp-file-size``, 0: none). ``piece`` is also how
    large the head of a response may be, if that is more than usual.
    """

    enabled: bool | None = None
    piece: int | None = None
    pieces: int | None = None
    file: int | None = None


class NextUpstream(Struct, frozen=True, array_like=True, tag="next-upstream", gc=False):
    """When a request is offered to another endpoint; None: the global setting holds.

    ``conditions``: as nginx's ``proxy_next_upstream`` names them; ``tries``: how many endpoints, 0: each once;
    ``timeout``: seconds after which no other one is tried, 0: any time.
    """

    conditions: tuple[str, ...] | None = None
    tries: int | None = None
    timeout: float | None = None


class BackendProtocol(Struct, frozen=True, array_like=True, tag="backend-protocol", gc=False):
    """What the endpoints speak (``backend-protocol``); without it: HTTP/1.1 in the clear.

    ``grpc`` and ``grpcs``: HTTP/2, in the clear or by TLS. ``auto-http``: ``https`` for requests that came by TLS.
    """

    protocol: Literal["https", "grpc", "grpcs", "auto-http"]


class EndpointTLS(Struct, frozen=True, array_like=True, tag="endpoint-tls", gc=False):
    """How TLS to endpoints is done (``proxy-ssl-*``); without it: no name sent, nothing verified, nothing shown.

    ``credentials``: the name of the Credentials. ``verify``: the endpoint's certificate must come from its authority
    over at most ``verify_depth`` intermediate ones, and be for ``name``; ``server_name``: send ``name`` as SNI.
    ``protocols`` as nginx spells them, empty: 1.2 and 1.3; ``ciphers`` as OpenSSL does.
    """

    credentials: str
    verify: bool = False
    verify_depth: int = 1
    name: str = ""
    server_name: bool = False
    protocols: tuple[str, ...] = ()
    ciphers: str = "DEFAULT"


class AccessLog(Struct, frozen=True, array_like=True, tag="access-log", gc=False):
    """Whether requests are logged (``enable-access-log``); without it they are."""

    enabled: bool
