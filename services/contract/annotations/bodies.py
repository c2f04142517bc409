"""Annotations about bodies: how large they may be, and what waits at the edge."""

from __future__ import annotations

from typing import Final

from services.contract.annotations.entry import Annotation

BODIES: Final = (
    Annotation(
        name="proxy-body-size",
        type="size",
        default="1m",
        risk="medium",
        state="honoured",
        doc="The largest body of a request, else 413; 0: any.",
    ),
    Annotation(
        name="proxy-buffering",
        type="switch",
        values=("on", "off"),
        default="off",
        state="honoured",
        doc="Relieve endpoints of responses that clients take slowly.",
    ),
    Annotation(
        name="proxy-buffer-size",
        type="size",
        default="4k",
        state="honoured",
        doc="The largest head of a response, where that is more than 32k; and the size of a buffer.",
    ),
    Annotation(
        name="proxy-buffers-number",
        type="count",
        default="4",
        state="honoured",
        doc="How many buffers of a response wait in memory, where `proxy-buffering` is on.",
    ),
    Annotation(
        name="proxy-busy-buffers-size",
        type="size",
        state="without-effect",
        doc="What waits for a client is sent as soon as it takes it.",
    ),
    Annotation(
        name="proxy-max-temp-file-size",
        type="size",
        default="1024m",
        state="honoured",
        doc="How much of a response waits in a file, where `proxy-buffering` is on; 0: nothing.",
    ),
    Annotation(
        name="proxy-request-buffering",
        type="switch",
        values=("on", "off"),
        default="on",
        state="honoured",
        doc="The whole body of a request is here before an endpoint hears of it.",
    ),
    Annotation(
        name="client-body-buffer-size",
        type="size",
        default="8k",
        state="honoured",
        doc="How much of a body is kept in memory, at least; more than 64k only while memory for bodies lasts.",
    ),
)
