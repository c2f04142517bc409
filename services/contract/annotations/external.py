"""Annotations about asking another server who may pass (``auth-url`` and what belongs to it), and how they are read.

Each reader takes the text of a manifest and returns a value, or raises MalformedError. Source: ingress-nginx's
validators (contract section 1.2).
"""

from __future__ import annotations

import re
from typing import Final

from services.contract.annotations.entry import Annotation
from services.contract.annotations.places import check_template, parse_key
from services.contract.annotations.values import MalformedError
from services.contract.header_values import parse_header_list, parse_reference

_URL: Final = re.compile(r"https?://[A-Za-z0-9\-._~${}\[\]:]+(?:[/?][A-Za-z0-9\-._~:/?#\[\]@!&'()*+,;=%${}]*)?")
_SIGNIN: Final = re.compile(r"(?:https?://|/|\$)[A-Za-z0-9\-._~:/?\[\]@!&'()*+,;=%${}]*")
_PARAMETER: Final = re.compile(r"[A-Za-z0-9\-._~]{1,100}")
_TEXT: Final = re.compile(r"[A-Za-z0-9_ :;.,/?&=@%+~*!()|${}\-]{1,2000}")
_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_REDIRECT: Final = re.compile(r"[A-Za-z0-9\-._~/:,?&=]{1,2000}")
_TIME: Final = re.compile(r"([0-9]{1,9})([smhdwMy])")
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "M": 2592000, "y": 31536000}
_USUAL: Final = ("200", "301", "302")
DURATION: Final = "200 202 401 5m"


def parse_auth_url(text: str) -> str:
    """The address that is asked; variables may stand in it."""
    text = text.strip()
    host = text.partition("://")[2].partition("/")[0]
    if _URL.fullmatch(text) is None or ".." in host or "#" in text:
        raise MalformedError("is not an address that begins with http:// or https://")
    check_template(text)
    return text


def parse_signin(text: str) -> str:
    """Where a browser is sent to; variables may stand in it."""
    text = text.strip()
    if _SIGNIN.fullmatch(text) is None:
        raise MalformedError("is not an address")
    check_template(text)
    return text


def parse_parameter(text: str) -> str:
    """The name of a parameter in a query."""
    if _PARAMETER.fullmatch(text) is None:
        raise MalformedError("is not the name of a parameter")
    return text


def parse_method(text: str) -> str:
    """A method of HTTP that may ask."""
    if text not in _METHODS:
        raise MalformedError(f"is none of {', '.join(_METHODS)}")
    return text


def parse_filled(text: str) -> str:
    """Text in which variables may stand."""
    if _TEXT.fullmatch(text) is None:
        raise MalformedError("has characters that it cannot have")
    return parse_key(text)


def parse_way_back(text: str) -> str:
    """Where the server that is asked is to send a client back to, without variables."""
    if _REDIRECT.fullmatch(text) is None:
        raise MalformedError("is no address without variables: letters, digits and -._~/:,?&= are admitted")
    return text


def parse_durations(text: str) -> tuple[str, ...]:
    """``200 202 401 5m, any 1m`` as words ``status seconds``, the first that holds for a status before others. Without
    a status: those of nginx."""
    found: dict[str, str] = {}
    for item in text.split(","):
        words = item.split()
        if not words:
            raise MalformedError("holds an empty item")
        time = _TIME.fullmatch(words[-1])
        if time is None:
            raise MalformedError(f"holds {item.strip()!r}, which does not end in a time such as 5m")
        for status in words[:-1] or _USUAL:
            if status != "any" and not (len(status) == 3 and status.isascii() and status.isdigit()):
                raise MalformedError(f"holds {status!r}, which is no status")
            found.setdefault(status, f"{status} {int(time[1]) * _UNITS[time[2]]}")
    return tuple(found.values())


EXTERNAL: Final = (
    Annotation(
        name="auth-url",
        type="url",
        risk="high",
        on_failure="deny",
        state="honoured",
        parse=parse_auth_url,
        doc="Ask this address about every request, with its headers: 2xx lets it pass, 401 and 403 are answered as "
        "they are, and with any other answer, or none, 500. Variables may stand in it.",
    ),
    Annotation(
        name="auth-signin",
        type="url",
        risk="high",
        state="honoured",
        parse=parse_signin,
        doc="Where a 401 sends the browser to (302). Variables may stand in it.",
    ),
    Annotation(
        name="auth-signin-redirect-param",
        type="string",
        default="rd",
        risk="medium",
        state="honoured",
        parse=parse_parameter,
        doc="The query parameter that carries the way back.",
    ),
    Annotation(
        name="auth-response-headers",
        type="list",
        risk="medium",
        on_failure="deny",
        state="honoured",
        parse=parse_header_list,
        doc="Headers of the answer that are handed to the Service, in place of what the client sent.",
    ),
    Annotation(
        name="auth-method",
        type="string",
        on_failure="deny",
        state="honoured",
        parse=parse_method,
        doc="The method of that question; otherwise GET.",
    ),
    Annotation(
        name="auth-request-redirect",
        type="string",
        risk="medium",
        on_failure="deny",
        state="honoured",
        parse=parse_way_back,
        doc="The header X-Auth-Request-Redirect of that question; otherwise what the client asks for. Values with "
        "variables stand in the ConfigMap of `auth-proxy-set-headers`.",
    ),
    Annotation(
        name="auth-proxy-set-headers",
        type="string",
        risk="medium",
        on_failure="deny",
        state="honoured",
        refers_to="configmap",
        parse=parse_reference,
        doc="The ConfigMap of headers sent along with that question. Without a usable one, the routes answer 503.",
    ),
    Annotation(
        name="auth-always-set-cookie",
        type="bool",
        default="false",
        on_failure="deny",
        state="honoured",
        doc="Cookies of the answer are passed on for every status.",
    ),
    Annotation(
        name="auth-cache-key",
        type="string",
        risk="medium",
        state="honoured",
        parse=parse_filled,
        doc="What answers are remembered by, for each host and path; variables may stand in it. Unset: not at all.",
    ),
    Annotation(
        name="auth-cache-duration",
        type="list",
        default=DURATION,
        risk="medium",
        on_failure="deny",
        state="honoured",
        parse=parse_durations,
        doc="How long answers are remembered, by status; times have a unit.",
    ),
    Annotation(
        name="auth-keepalive",
        type="int",
        default="0",
        state="without-effect",
        doc="Connections to that address are kept by themselves; in ingress-nginx it says nothing where HTTP/2 is on.",
    ),
    Annotation(
        name="auth-keepalive-share-vars",
        type="bool",
        default="false",
        state="without-effect",
        doc="The question has the request's variables, in any case.",
    ),
    Annotation(
        name="auth-keepalive-requests",
        type="int",
        default="1000",
        state="without-effect",
        doc="Connections to that address are kept by themselves, for any number of questions.",
    ),
    Annotation(
        name="auth-keepalive-timeout",
        type="seconds",
        default="60",
        state="without-effect",
        doc="Connections to that address are kept by themselves, for 15 seconds without a question.",
    ),
    Annotation(
        name="enable-global-auth",
        type="bool",
        default="true",
        state="honoured",
        doc="Whether the ConfigMap's `global-auth-url` is asked.",
    ),
)
