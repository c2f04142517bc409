"""Keys about heads and bodies: how large they may be, how slowly they may come, and what waits at the edge."""

from __future__ import annotations

import re
from typing import Final

from services.contract.annotations.values import MalformedError, parse_size
from services.contract.configmap.entry import Key

_BUFFERS: Final = re.compile(r"([0-9]{1,4})\s+([0-9]+[kKmMgG]?)")
_HEAD_AT_MOST: Final = 4 * 1024 * 1024

BODIES: Final = (
    Key(
        name="client-body-buffer-size",
        type="size",
        default="8k",
        state="honoured",
        doc="How much of a body is kept in memory, at least; more than 64k only while memory for bodies lasts.",
    ),
    Key(
        name="client-body-timeout",
        type="int",
        default="60",
        state="honoured",
        doc="Seconds between two reads of a request's body.",
    ),
    Key(
        name="client-header-timeout",
        type="int",
        default="60",
        state="honoured",
        doc="Seconds for the head of a request; while it is 60, a head that has begun has 10, and so has the first "
        "of a connection of HTTP/2.",
    ),
    Key(
        name="large-client-header-buffers",
        type="string",
        default="4 8k",
        state="honoured",
        doc="How large a line of a head may be (the second), and all of them (both multiplied).",
    ),
    Key(
        name="limit-rate",
        type="int",
        default="0",
        state="honoured",
        doc="Kilobytes a second of each response, where `proxy-buffering` is on; 0: as fast as the client takes them.",
    ),
    Key(
        name="limit-rate-after",
        type="int",
        default="0",
        state="honoured",
        doc="Kilobytes of a response that go before `limit-rate` begins.",
    ),
    Key(
        name="proxy-body-size",
        type="size",
        default="1m",
        state="honoured",
        doc="The largest body of a request, else 413; 0: any.",
    ),
    Key(
        name="proxy-buffer-size",
        type="size",
        default="4k",
        state="honoured",
        doc="The largest head of a response, where that is more than 32k; and the size of a buffer.",
    ),
    Key(
        name="proxy-buffering",
        type="string",
        default="off",
        state="honoured",
        doc="Relieve endpoints of responses that clients take slowly.",
    ),
    Key(
        name="proxy-buffers-number",
        type="int",
        default="4",
        state="honoured",
        doc="How many buffers of a response wait in memory, where `proxy-buffering` is on.",
    ),
    Key(
        name="proxy-max-temp-file-size",
        type="size",
        default="1024m",
        state="honoured",
        doc="How much of a response waits in a file, where `proxy-buffering` is on; 0: nothing.",
    ),
    Key(
        name="proxy-request-buffering",
        type="string",
        default="on",
        state="honoured",
        doc="The whole body of a request is here before an endpoint hears of it.",
    ),
)


def parse_switch(text: str) -> bool:
    """``on`` or ``off``, as nginx writes switches."""
    word = text.strip()
    if word not in ("on", "off"):
        raise MalformedError("is neither on nor off")
    return word == "on"


def parse_buffers(text: str) -> tuple[int, int]:
    """(number, size): ``4 8k``."""
    match = _BUFFERS.fullmatch(text.strip())
    if match is None:
        raise MalformedError("is not a number and a size, such as 4 8k")
    number, size = int(match[1]), parse_size(match[2])
    if not 1024 <= number * size <= _HEAD_AT_MOST or size < 256:
        raise MalformedError("allows heads of less than a kilobyte, or more than 4m")
    return number, size
