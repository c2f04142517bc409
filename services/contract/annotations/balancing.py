"""Annotations about which endpoint takes a request, and about canaries."""

from __future__ import annotations

import re
from typing import Final

from services.contract import regex
from services.contract.annotations.entry import Annotation
from services.contract.annotations.values import MalformedError

_NAME: Final = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+")


def parse_name(text: str) -> str:
    """The name of a header or a cookie."""
    if _NAME.fullmatch(text) is None:
        raise MalformedError("is no name of a header or a cookie")
    return text


def _broken_pattern(text: str) -> tuple[str, ...]:
    """A broken pattern is kept: requests that have the header then never go to the canary (contract section 1.10)."""
    try:
        regex.compile(text, ignore_case=False)
    except regex.RegexError as error:
        return (f"is no pattern, so that no request which has the header goes to the canary: {error}",)
    return ()


def _as_it_is(text: str) -> str:
    return text


BALANCING: Final = (
    Annotation(
        name="load-balance",
        type="switch",
        values=("round_robin", "ewma"),
        default="round_robin",
        scope="upstream",
        doc="How an endpoint is chosen.",
    ),
    Annotation(
        name="upstream-hash-by",
        type="string",
        scope="upstream",
        risk="high",
        on_failure="reject",
        doc="Choose the endpoint by a hash of this.",
    ),
    Annotation(
        name="upstream-hash-by-subset",
        type="bool",
        default="false",
        scope="upstream",
        doc="Hash to groups of endpoints.",
    ),
    Annotation(
        name="upstream-hash-by-subset-size", type="int", default="3", scope="upstream", doc="How large such a group is."
    ),
    Annotation(
        name="affinity", type="switch", values=("cookie",), scope="upstream", doc="Clients stay with an endpoint."
    ),
    Annotation(
        name="affinity-mode",
        type="switch",
        values=("balanced", "persistent"),
        default="balanced",
        scope="upstream",
        risk="medium",
        doc="Whether clients may be moved to balance load.",
    ),
    Annotation(
        name="affinity-canary-behavior",
        type="switch",
        values=("sticky", "legacy"),
        default="sticky",
        scope="upstream",
        doc="Whether clients also stay with a canary.",
    ),
    Annotation(
        name="session-cookie-name",
        type="string",
        default="INGRESSCOOKIE",
        scope="upstream",
        risk="medium",
        doc="The name of that cookie.",
    ),
    Annotation(name="session-cookie-path", type="string", scope="upstream", risk="medium", doc="Its Path."),
    Annotation(name="session-cookie-domain", type="string", scope="upstream", risk="medium", doc="Its Domain."),
    Annotation(
        name="session-cookie-expires", type="int", scope="upstream", risk="medium", doc="Its Expires, from now."
    ),
    Annotation(name="session-cookie-max-age", type="int", scope="upstream", risk="medium", doc="Its Max-Age."),
    Annotation(
        name="session-cookie-samesite",
        type="switch",
        values=("None", "Lax", "Strict"),
        scope="upstream",
        doc="Its SameSite.",
    ),
    Annotation(
        name="session-cookie-conditional-samesite-none",
        type="bool",
        default="false",
        scope="upstream",
        doc="No SameSite=None for browsers that misread it.",
    ),
    Annotation(
        name="session-cookie-secure", type="bool", scope="upstream", doc="Its Secure; absent: as the request came."
    ),
    Annotation(
        name="session-cookie-change-on-failure",
        type="bool",
        default="false",
        scope="upstream",
        doc="A new cookie when the endpoint fails.",
    ),
    Annotation(
        name="canary",
        type="bool",
        default="false",
        scope="ingress",
        state="honoured",
        doc="This Ingress is an alternative of another: of hosts and paths (with the same pathType) that another has, "
        "it takes some of the requests. By itself it serves nothing, and nothing but the other `canary-*`, "
        "`affinity-canary-behavior`, `load-balance` and `upstream-hash-by*` of it has an effect.",
    ),
    Annotation(
        name="canary-weight",
        type="int",
        default="0",
        scope="ingress",
        state="honoured",
        doc="How many of `canary-weight-total` requests it takes, of those that neither header nor cookie decide.",
    ),
    Annotation(
        name="canary-weight-total",
        type="int",
        default="100",
        scope="ingress",
        state="honoured",
        doc="What the weight is a part of; less than 100 is 100.",
    ),
    Annotation(
        name="canary-by-header",
        type="string",
        scope="ingress",
        risk="medium",
        state="honoured",
        parse=parse_name,
        doc="The header that decides first: `always` and `never`, any other value leaves it to the cookie.",
    ),
    Annotation(
        name="canary-by-header-value",
        type="string",
        scope="ingress",
        risk="medium",
        state="honoured",
        parse=_as_it_is,
        doc="The value of that header which chooses the canary; `always` and `never` then say nothing.",
    ),
    Annotation(
        name="canary-by-header-pattern",
        type="string",
        scope="ingress",
        risk="medium",
        state="honoured",
        parse=_as_it_is,
        passed_over=_broken_pattern,
        doc="The same as a pattern, searched with case; not looked at beside `canary-by-header-value`.",
    ),
    Annotation(
        name="canary-by-cookie",
        type="string",
        scope="ingress",
        risk="medium",
        state="honoured",
        parse=parse_name,
        doc="The cookie that decides next: `always` and `never`.",
    ),
)
