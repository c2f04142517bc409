"""Annotations about which endpoint takes a request, and about canaries."""

from __future__ import annotations

import re
from typing import Final

from services.contract import regex
from services.contract.annotations.entry import Annotation
from services.contract.annotations.places import parse_key
from services.contract.annotations.values import MalformedError, parse_int

_LONGEST: Final = 10**10
_COOKIE_PATH: Final = re.compile(r"/[!-:<-~]*")
_COOKIE_DOMAIN: Final = re.compile(r"[A-Za-z0-9.-]{1,253}")
_HASH_BY: Final = re.compile(r"[A-Za-z0-9\-_${} ]+")
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


def parse_seconds(text: str) -> int:
    """Seconds from now; a negative number lies in the past."""
    seconds = parse_int(text)
    if abs(seconds) > _LONGEST:
        raise MalformedError("is too large")
    return seconds


def parse_cookie_path(text: str) -> str:
    """A Path of a cookie."""
    if _COOKIE_PATH.fullmatch(text) is None:
        raise MalformedError("is no path that a cookie can have")
    return text


def parse_cookie_domain(text: str) -> str:
    """A Domain of a cookie."""
    if _COOKIE_DOMAIN.fullmatch(text) is None:
        raise MalformedError("is no domain that a cookie can have")
    return text


def parse_hash_by(text: str) -> str:
    """What an endpoint is chosen by: text with nginx variables."""
    if _HASH_BY.fullmatch(text) is None:
        raise MalformedError("has other characters than letters, digits, spaces and -_${}")
    return parse_key(text)


BALANCING: Final = (
    Annotation(
        name="load-balance",
        type="switch",
        values=("round_robin", "ewma"),
        default="round_robin",
        scope="upstream",
        state="honoured",
        doc="How an endpoint is chosen: by turns, or (`ewma`) the one of two that answered faster of late. The oldest "
        "Ingress that names the Service by a port says so for all. Unset: as in the ConfigMap.",
    ),
    Annotation(
        name="upstream-hash-by",
        type="string",
        scope="upstream",
        risk="high",
        on_failure="reject",
        state="honoured",
        parse=parse_hash_by,
        doc="The endpoint is chosen by a consistent hash of this, which may hold nginx variables. The oldest Ingress "
        "that names the Service by a port says so for all.",
    ),
    Annotation(
        name="upstream-hash-by-subset",
        type="bool",
        default="false",
        scope="upstream",
        on_failure="reject",
        state="honoured",
        doc="The hash chooses a group of endpoints, and chance one of it.",
    ),
    Annotation(
        name="upstream-hash-by-subset-size",
        type="int",
        default="3",
        scope="upstream",
        on_failure="reject",
        state="honoured",
        doc="How large such a group is; 0 is 3.",
    ),
    Annotation(
        name="affinity",
        type="switch",
        values=("cookie",),
        scope="upstream",
        state="honoured",
        doc="`cookie`: clients stay with an endpoint, by a cookie that they get. It goes before `upstream-hash-by` and "
        "`load-balance`.",
    ),
    Annotation(
        name="affinity-mode",
        type="switch",
        values=("balanced", "persistent"),
        default="balanced",
        scope="upstream",
        risk="medium",
        state="honoured",
        doc="`persistent`: until the endpoint is gone; `balanced`: some clients are moved to endpoints that are new.",
    ),
    Annotation(
        name="affinity-canary-behavior",
        type="switch",
        values=("sticky", "legacy"),
        default="sticky",
        scope="upstream",
        state="honoured",
        doc="On a canary's Ingress. `sticky`: clients also stay with the canary and its endpoints.",
    ),
    Annotation(
        name="session-cookie-name",
        type="string",
        default="INGRESSCOOKIE",
        scope="upstream",
        risk="medium",
        state="honoured",
        parse=parse_name,
        doc="The name of that cookie.",
    ),
    Annotation(
        name="session-cookie-path",
        type="string",
        scope="upstream",
        risk="medium",
        state="honoured",
        parse=parse_cookie_path,
        doc="Its Path. Unset: the path as the Ingress writes it, so `use-regex` needs this.",
    ),
    Annotation(
        name="session-cookie-domain",
        type="string",
        scope="upstream",
        risk="medium",
        state="honoured",
        parse=parse_cookie_domain,
        doc="Its Domain.",
    ),
    Annotation(
        name="session-cookie-expires",
        type="int",
        scope="upstream",
        risk="medium",
        state="honoured",
        parse=parse_seconds,
        doc="Its Expires, in seconds from now.",
    ),
    Annotation(
        name="session-cookie-max-age",
        type="int",
        scope="upstream",
        risk="medium",
        state="honoured",
        parse=parse_seconds,
        doc="Its Max-Age, in seconds.",
    ),
    Annotation(
        name="session-cookie-samesite",
        type="switch",
        values=("None", "Lax", "Strict"),
        scope="upstream",
        state="honoured",
        doc="Its SameSite.",
    ),
    Annotation(
        name="session-cookie-conditional-samesite-none",
        type="bool",
        default="false",
        scope="upstream",
        state="honoured",
        doc="No SameSite=None for browsers that misread it.",
    ),
    Annotation(
        name="session-cookie-secure",
        type="bool",
        scope="upstream",
        state="honoured",
        doc="It is Secure even without TLS; with TLS it always is.",
    ),
    Annotation(
        name="session-cookie-change-on-failure",
        type="bool",
        default="false",
        scope="upstream",
        state="honoured",
        doc="A client whose endpoint fails stays with the one that served it instead.",
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
