"""Annotations about copies of requests (``mirror-*``), and how they are read. Readers raise MalformedError."""

from __future__ import annotations

import re
from typing import Final

from services.contract.annotations.entry import Annotation
from services.contract.annotations.external import parse_auth_url
from services.contract.annotations.places import check_template
from services.contract.annotations.values import MalformedError

_HOST: Final = re.compile(r"[A-Za-z0-9_.:\[\]${}-]{1,253}")
_target_host: Final = re.compile(r"https?://(\[[^\]]*\]|[^/?:$]*)").match


def parse_mirror_target(text: str) -> str:
    """Where copies go; variables may stand in it."""
    return parse_auth_url(text)


def parse_mirror_host(text: str) -> str:
    """A Host header; variables may stand in it."""
    host = text.strip()
    if _HOST.fullmatch(host) is None:
        raise MalformedError("is not the name of a host")
    check_template(host)
    return host


def host_of_target(target: str) -> str:
    """The Host header of copies where nothing else is said: what the target names, without port, up to a variable."""
    found = _target_host(target)
    return found[1] if found is not None else ""


COPIES: Final = (
    Annotation(
        name="mirror-target",
        type="url",
        scope="ingress",
        risk="high",
        state="honoured",
        parse=parse_mirror_target,
        doc="A copy of each request that is let pass goes to this address, too, and what is answered there is thrown "
        "away. Without a path in it, the copy asks for what the client asked for. Variables may stand in it: "
        "`https://shadow.example$request_uri`. The client never waits for it; what the target cannot take is dropped.",
    ),
    Annotation(
        name="mirror-request-body",
        type="switch",
        values=("on", "off"),
        default="on",
        scope="ingress",
        state="honoured",
        doc="The copy has the body. Then it is sent once the body is here.",
    ),
    Annotation(
        name="mirror-host",
        type="string",
        scope="ingress",
        risk="high",
        state="honoured",
        parse=parse_mirror_host,
        doc="The Host header of the copy; unset: the host of `mirror-target`. Variables may stand in it.",
    ),
)
