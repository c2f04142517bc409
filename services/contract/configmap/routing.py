"""Keys about where requests go: redirects, error pages, and how endpoints are addressed."""

from __future__ import annotations

from typing import Final

from services.contract.annotations.values import MalformedError
from services.contract.configmap.entry import Key

ROUTING: Final = (
    Key(
        name="custom-http-errors",
        type="list",
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


def parse_statuses(text: str) -> tuple[int, ...]:
    """Statuses from 300 to 599, each once, sorted."""
    found: set[int] = set()
    for item in text.split(","):
        word = item.strip()
        if not word:
            continue
        if not (word.isascii() and word.isdigit() and len(word) == 3 and 300 <= int(word) <= 599):
            raise MalformedError(f"holds {word!r}, which is no status from 300 to 599")
        found.add(int(word))
    return tuple(sorted(found))
