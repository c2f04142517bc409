"""Annotations about CORS, and how their values are read (contract sections 1.2 and 1.7)."""

from __future__ import annotations

import re
from typing import Final

from services.contract.annotations.entry import Annotation
from services.contract.annotations.values import MalformedError

_ORIGIN: Final = re.compile(r"[a-z]+://(?:\*\.)?[A-Za-z0-9\-.]+(?::[0-9]{1,5})?|null")
_METHODS: Final = re.compile(r"[A-Za-z]+(?:, ?[A-Za-z]+)*,?")
_NAMES: Final = re.compile(r"(?:[A-Za-z0-9_-]+|\*)(?:(?:, ?| )(?:[A-Za-z0-9_-]+|\*))*,?")

DEFAULT_METHODS: Final = "GET, PUT, POST, DELETE, PATCH, OPTIONS"
DEFAULT_HEADERS: Final = (
    "DNT,Keep-Alive,User-Agent,X-Requested-With,If-Modified-Since,Cache-Control,Content-Type,Range,Authorization"
)


def parse_origins(text: str) -> tuple[str, ...]:
    """Origins with commas between; those that are none are left out. ``*`` among them stands for all."""
    items = _origins(text)
    return ("*",) if "*" in items else tuple(item for item in items if _ORIGIN.fullmatch(item))


def no_origins(text: str) -> tuple[str, ...]:
    """What ``parse_origins`` leaves out, each as the end of a sentence about the value."""
    items = _origins(text)
    if "*" in items:
        return ()
    return tuple(
        f"holds {item!r}, which is no origin: scheme://host, scheme://*.host, with a port or without"
        for item in items
        if _ORIGIN.fullmatch(item) is None
    )


def parse_methods(text: str) -> str:
    """Methods with commas between, as they stand."""
    if _METHODS.fullmatch(text) is None:
        raise MalformedError("is no list of methods")
    return text


def parse_header_names(text: str) -> str:
    """Names of headers with commas between, as they stand."""
    if _NAMES.fullmatch(text) is None:
        raise MalformedError("is no list of headers")
    return text


def _origins(text: str) -> list[str]:
    return [item for part in text.split(",") if (item := part.strip())]


CORS: Final = (
    Annotation(
        name="enable-cors",
        type="bool",
        default="false",
        scope="ingress",
        state="honoured",
        doc="Preflights of browsers are answered with 204, before redirects and any question who asks, and every "
        "response says what pages of other origins may do.",
    ),
    Annotation(
        name="cors-allow-origin",
        type="list",
        parse=parse_origins,
        passed_over=no_origins,
        default="*",
        scope="ingress",
        risk="medium",
        state="honoured",
        doc="Origins that may ask, with commas between: `https://shop.example.com:8443`, `https://*.example.com` (one "
        "label), `null`; `*`: all. Any other gets no such headers, and its preflights go to the Service.",
    ),
    Annotation(
        name="cors-allow-methods",
        type="string",
        parse=parse_methods,
        default=DEFAULT_METHODS,
        scope="ingress",
        risk="medium",
        state="honoured",
        doc="Methods that they may use.",
    ),
    Annotation(
        name="cors-allow-headers",
        type="string",
        parse=parse_header_names,
        default=DEFAULT_HEADERS,
        scope="ingress",
        risk="medium",
        state="honoured",
        doc="Headers that they may send.",
    ),
    Annotation(
        name="cors-expose-headers",
        type="string",
        parse=parse_header_names,
        scope="ingress",
        risk="medium",
        state="honoured",
        doc="Headers of responses that they may read.",
    ),
    Annotation(
        name="cors-allow-credentials",
        type="bool",
        default="true",
        scope="ingress",
        state="honoured",
        doc="Whether cookies may be sent along. Browsers take no response to such a request that allows `*`.",
    ),
    Annotation(
        name="cors-max-age",
        type="int",
        default="1728000",
        scope="ingress",
        state="honoured",
        doc="Seconds that a preflight's answer holds; -1: it is not kept.",
    ),
)
