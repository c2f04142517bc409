"""Keys of tracing, and how their values are read: where spans go, which are kept, what they are called."""

from __future__ import annotations

import ipaddress
import math
import re
from typing import Final

from proto.resources import Settings
from services.contract.annotations.places import parse_operation
from services.contract.annotations.values import MalformedError
from services.contract.configmap.entry import Key
from services.contract.configmap.logging import parse_port

SAMPLERS: Final = ("AlwaysOn", "AlwaysOff", "TraceIdRatioBased")
QUEUE_AT_MOST: Final = 65536
"""Spans of a worker that may wait: at some 2 KB each as much memory as they may take."""

TRACING: Final = (
    Key(
        name="enable-opentelemetry",
        type="bool",
        default="false",
        state="honoured",
        doc="Requests are traced: each has a span, which the endpoint is told as its parent.",
    ),
    Key(
        name="opentelemetry-config",
        type="string",
        default="/etc/ingress-controller/telemetry/opentelemetry.toml",
        state="without-effect",
        doc="There is no such file here: say in `otlp-*` and `otel-*` what stands in it.",
    ),
    Key(
        name="opentelemetry-operation-name",
        type="string",
        state="honoured",
        doc="The name of spans, with nginx variables; unset: the path as the Ingress spells it.",
    ),
    Key(
        name="opentelemetry-trust-incoming-span",
        type="bool",
        default="true",
        state="honoured",
        doc="The client's span is the parent.",
    ),
    Key(
        name="otel-max-export-batch-size",
        type="int",
        default="512",
        state="honoured",
        doc="How many spans go to the collector at once.",
    ),
    Key(
        name="otel-max-queuesize",
        type="int",
        default="2048",
        state="honoured",
        doc="How many spans of a worker may wait; more are dropped and counted.",
    ),
    Key(
        name="otel-sampler",
        type="string",
        default="AlwaysOn",
        state="honoured",
        choices=SAMPLERS,
        doc="Which traces are kept.",
    ),
    Key(
        name="otel-sampler-parent-based",
        type="bool",
        default="true",
        state="honoured",
        doc="The client's word holds, where its span is the parent.",
    ),
    Key(
        name="otel-sampler-ratio",
        type="float",
        default="0.01",
        state="honoured",
        doc="The part of all traces that `TraceIdRatioBased` keeps, 0 to 1.",
    ),
    Key(
        name="otel-schedule-delay-millis",
        type="int",
        default="5000",
        state="honoured",
        doc="Milliseconds after which spans that wait are sent.",
    ),
    Key(
        name="otel-service-name",
        type="string",
        default="nginx",
        state="honoured",
        doc="Who says that it made the spans (`service.name`).",
    ),
    Key(
        name="otlp-collector-host",
        type="string",
        state="honoured",
        doc="The collector, which takes OTLP over gRPC in the clear; unset: spans are made, and sent nowhere.",
    ),
    Key(name="otlp-collector-port", type="int", default="4317", state="honoured", doc="Its port."),
)

_NAME: Final = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_.])?")


def _parse_host(text: str) -> str:
    host = text.strip().removeprefix("[").removesuffix("]")
    try:
        return str(ipaddress.ip_address(host)) if host else ""
    except ValueError:
        if _NAME.fullmatch(host) is None:
            raise MalformedError("is no name or address of a machine (no scheme and no port belong there)") from None
        return host


def _parse_ratio(text: str) -> float:
    try:
        ratio = float(text)
    except ValueError:
        ratio = math.nan
    if not 0 <= ratio <= 1:
        raise MalformedError("is no number from 0 to 1")
    return ratio


def _parse_sampler(text: str) -> str:
    word = text.strip() or Settings().otel_sampler
    found = next((sampler for sampler in SAMPLERS if sampler.lower() == word.lower()), None)
    if found is None:
        raise MalformedError(f"is none of {', '.join(SAMPLERS)}")
    return found


def _parse_count(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 0 < int(text) <= QUEUE_AT_MOST:
        raise MalformedError(f"is no number from 1 to {QUEUE_AT_MOST}")
    return int(text)


def _parse_delay(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,8}", text) or not int(text):
        raise MalformedError("is no number of milliseconds above 0")
    return int(text)


PARSERS: Final = {
    "opentelemetry-operation-name": parse_operation,
    "otel-max-export-batch-size": _parse_count,
    "otel-max-queuesize": _parse_count,
    "otel-sampler": _parse_sampler,
    "otel-sampler-ratio": _parse_ratio,
    "otel-schedule-delay-millis": _parse_delay,
    "otel-service-name": lambda text: text.strip() or Settings().otel_service_name,
    "otlp-collector-host": _parse_host,
    "otlp-collector-port": parse_port,
}
"""By the name of the key."""
