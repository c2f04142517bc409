"""Keys about where requests go: redirects, error pages, and how endpoints are addressed."""

from __future__ import annotations

import re
from typing import Final

from services.contract.configmap.entry import Key

_STATUS: Final = re.compile(r"[345][0-9]{2}")


def parse_statuses(text: str) -> tuple[int, ...]:
    """Statuses from 300 to 599, each once, sorted; what is none is left out."""
    return tuple(sorted({int(word) for word in _words(text) if _STATUS.fullmatch(word)}))


def no_statuses(text: str) -> tuple[str, ...]:
    """What ``parse_statuses`` leaves out, each as the end of a sentence about the value."""
    return tuple(
        f"holds {word!r}, which is no status from 300 to 599" for word in _words(text) if not _STATUS.fullmatch(word)
    )


def _words(text: str) -> list[str]:
    return [word for item in text.split(",") if (word := item.strip())]


ROUTING: Final = (
    Key(
        name="custom-http-errors",
        type="list",
        passed_over=no_statuses,
        state="honoured",
        doc="Statuses, 300 to 599, for which the default backend is asked for an answer, with commas between.",
    ),
    Key(
        name="disable-proxy-intercept-errors",
        type="bool",
        default="false",
        state="honoured",
        doc="Services' own errors pass, whatever `custom-http-errors` says.",
    ),
    Key(
        name="load-balance",
        type="string",
        default="round_robin",
        choices=("round_robin", "ewma"),
        state="honoured",
        doc="How endpoints are chosen: by turns, or (`ewma`) the one of two that answered faster of late.",
    ),
    Key(
        name="preserve-trailing-slash",
        type="bool",
        default="false",
        state="honoured",
        doc="The redirect to https keeps a `/` at the end of the path.",
    ),
    Key(
        name="proxy-add-original-uri-header",
        type="bool",
        default="false",
        state="honoured",
        doc="Endpoints get the request's target as the client sent it in X-Original-URI.",
    ),
    Key(
        name="relative-redirects",
        type="bool",
        default="false",
        state="honoured",
        doc="Redirects to a path name no scheme and no host.",
    ),
    Key(
        name="service-upstream",
        type="bool",
        default="false",
        state="honoured",
        doc="Requests go to Services' own addresses instead of their endpoints.",
    ),
    Key(
        name="use-port-in-redirects",
        type="bool",
        default="false",
        state="honoured",
        doc="Redirects name the port.",
    ),
)
