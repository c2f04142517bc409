"""Policies about heads of responses: what clients are told besides what endpoints say."""

from __future__ import annotations

from msgspec import Struct


class CORS(Struct, frozen=True, array_like=True, tag="cors", gc=False):
    """Pages of which origins may ask, and what for (``enable-cors``).

    ``origins``: as browsers write them, with ``*`` for one label at most; ``*`` alone: all. ``methods``, ``headers``,
    ``exposed``: values of headers as they are; ``exposed`` empty: none. ``max_age`` in seconds.
    """

    origins: tuple[str, ...]
    methods: str
    headers: str
    exposed: str = ""
    credentials: bool = True
    max_age: int = 1728000


class CustomHeaders(Struct, frozen=True, array_like=True, tag="custom-headers", gc=False):
    """Headers of every response, name and value as they are (``custom-headers``)."""

    headers: tuple[tuple[str, str], ...]


class Decorations(Struct, frozen=True, array_like=True, tag="decorations", gc=False):
    """What a snippet of nothing else says of heads of responses, whoever answers (``*-snippet``).

    In this order: ``removed`` are taken out (names, in lower case; with ``*`` at the end, all that begin so); ``put``
    stand there instead of what was there, ``always`` beside it, and ``added`` beside it in answers that succeed or
    redirect. Values hold variables; one that is empty stands for no header.
    """

    put: tuple[tuple[str, str], ...] = ()
    removed: tuple[str, ...] = ()
    added: tuple[tuple[str, str], ...] = ()
    always: tuple[tuple[str, str], ...] = ()


class EndpointResponse(Struct, frozen=True, array_like=True, tag="endpoint-response", gc=False):
    """What becomes of heads that endpoints send; None: the global setting holds.

    ``redirect_from``, ``redirect_to``: the beginning of Location and what stands there instead (``proxy-redirect-*``),
    or ``off``; ``cookie_domain``, ``cookie_path``: (what cookies say, what they say instead), empty: as they are.
    """

    redirect_from: str | None = None
    redirect_to: str | None = None
    cookie_domain: tuple[str, ...] | None = None
    cookie_path: tuple[str, ...] | None = None
