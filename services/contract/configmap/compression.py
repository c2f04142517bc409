"""Keys about responses that are made smaller on their way, and how their values are read."""

from __future__ import annotations

import re
from typing import Final

from services.contract import regex
from services.contract.annotations.values import MalformedError
from services.contract.configmap.entry import Key

GZIP_TYPES: Final = (
    "application/atom+xml application/javascript application/x-javascript application/json application/rss+xml "
    "application/vnd.ms-fontobject application/x-font-ttf application/x-web-app-manifest+json application/xhtml+xml "
    "application/xml font/opentype image/svg+xml image/x-icon text/css text/javascript text/plain text/x-component"
)

BROTLI_TYPES: Final = (
    "application/xml+rss application/atom+xml application/javascript application/x-javascript application/json "
    "application/rss+xml application/vnd.ms-fontobject application/x-font-ttf application/x-web-app-manifest+json "
    "application/xhtml+xml application/xml font/opentype image/svg+xml image/x-icon text/css text/javascript "
    "text/plain text/x-component"
)

COMPRESSION: Final = (
    Key(
        name="brotli-level",
        type="int",
        default="4",
        state="honoured",
        choices=tuple(map(str, range(12))),
        doc="How well responses are packed with brotli, 0 to 11; 10 and 11 are taken for 9, for they would hold up all "
        "other requests.",
    ),
    Key(
        name="brotli-min-length",
        type="int",
        default="20",
        state="honoured",
        doc="Responses of fewer bytes are not packed with brotli.",
    ),
    Key(
        name="brotli-types",
        type="string",
        default=BROTLI_TYPES,
        state="honoured",
        doc="The types that are packed with brotli, besides text/html, with spaces between; `*`: all.",
    ),
    Key(
        name="enable-brotli",
        type="bool",
        default="false",
        state="honoured",
        doc="Responses are packed with brotli for clients that take it, unless they are packed already. It goes before "
        "gzip.",
    ),
    Key(
        name="gzip-disable",
        type="string",
        state="honoured",
        doc="Clients whose User-Agent matches this pattern get nothing packed; `msie6`: very old browsers.",
    ),
    Key(
        name="gzip-level",
        type="int",
        default="1",
        state="honoured",
        choices=tuple(map(str, range(1, 10))),
        doc="How well responses are packed, 1 to 9; what is gained above 1 is little, what it costs is much.",
    ),
    Key(
        name="gzip-min-length",
        type="int",
        default="256",
        state="honoured",
        doc="Responses of fewer bytes are not packed.",
    ),
    Key(
        name="gzip-types",
        type="string",
        default=GZIP_TYPES,
        state="honoured",
        doc="The types that are packed, besides text/html, with spaces between; `*`: all.",
    ),
    Key(
        name="use-gzip",
        type="bool",
        default="false",
        state="honoured",
        doc="Responses are packed with gzip for clients that take it, unless they are packed already.",
    ),
)

_TYPE: Final = re.compile(r"\*|[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+*-]+")


def parse_types(text: str) -> tuple[str, ...]:
    """Types of content with spaces between, each once."""
    names = text.split()
    for name in names:
        if _TYPE.fullmatch(name) is None:
            raise MalformedError(f"holds {name!r}, which is no type such as text/css")
    return tuple(dict.fromkeys(names))


def parse_disabled(text: str) -> str:
    """A pattern for User-Agent."""
    try:
        regex.compile(text)
    except regex.RegexError as error:
        raise MalformedError(f"is no pattern: {error}") from None
    return text
