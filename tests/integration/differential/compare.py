"""What came of one request on one side, in a form that can be compared; and what may differ everywhere, by name.

What differs for a single request on purpose is said with the request.
"""

from __future__ import annotations

import gzip
import re
from typing import Final

from msgspec import Struct

from tests.integration.differential.sides import Arrived
from tests.support.edge import Reply

Lines = list[tuple[str, str]]

_ID: Final = re.compile(r"[0-9a-f]{32}")

OF_ANSWERS: Final[dict[str, str]] = {
    "server": "nginx sends its name; ingress-nginx takes it out with a module that Debian's nginx has not",
    "date": "nginx puts its own in the place of the endpoint's, which a proxy need not (RFC 9110 section 6.6.1)",
    "connection": "nginx says `keep-alive` to HTTP/1.1 too, for which that is the default",
    "keep-alive": "the seconds that a connection is kept: nginx says them as `keep-alive` is said",
}
"""Headers of answers that are not compared, and why."""

OF_REQUESTS: Final[dict[str, str]] = {}
"""Headers of requests for endpoints that are not compared, and why."""


class Came(Struct, frozen=True):
    """An answer and what endpoints got for it."""

    status: int
    headers: Lines
    body: bytes
    arrived: tuple[tuple[str, str, Lines, bytes], ...]

    def differences(self, other: Came) -> list[str]:
        """What is not the same, as text; ours is ``other``."""
        found = [
            f"{name}: nginx {theirs!r}, edge {ours!r}"
            for name, theirs, ours in (("status", self.status, other.status), ("body", self.body, other.body))
            if theirs != ours
        ]
        found += _of_lines("answer", self.headers, other.headers)
        if len(self.arrived) != len(other.arrived):
            return [*found, f"endpoints: nginx {self._where()}, edge {other._where()}"]
        for theirs, ours in zip(self.arrived, other.arrived, strict=True):
            if theirs[:2] != ours[:2] or theirs[3] != ours[3]:
                found.append(f"endpoint: nginx {theirs[:2]}, {len(theirs[3])} bytes; edge {ours[:2]}, {len(ours[3])}")
            found += _of_lines("endpoint", theirs[2], ours[2])
        return found

    def _where(self) -> list[tuple[str, str]]:
        return [entry[:2] for entry in self.arrived]


def came(reply: Reply, arrived: list[Arrived]) -> Came:
    """What came, in comparable form."""
    lines = _lines(reply.head)
    body = reply.body
    if ("content-encoding", "gzip") in lines:
        body = gzip.decompress(body)  # two packers need not agree about bytes
        lines = [line for line in lines if line[0] != "content-length"]
    if body and not any(name == "content-length" for name, _ in lines):  # nor about when the length is known
        lines = [line for line in lines if line[0] != "transfer-encoding"] + [("content-length", str(len(body)))]
    headers = [line for line in lines if line[0] not in OF_ANSWERS]
    return Came(reply.status, sorted(headers), body, tuple(map(_arrived, arrived)))


def _arrived(one: Arrived) -> tuple[str, str, Lines, bytes]:
    line, _, rest = one.seen.head.decode("latin-1").partition("\r\n")
    pairs = (text.partition(":") for text in rest.split("\r\n") if text)
    # the spaces around a value are no part of it (RFC 9112 section 5.1): nginx writes one, the edge what came
    lines = [(name, _ID.sub("<id>", value.strip())) for name, _, value in pairs if name.lower() not in OF_REQUESTS]
    return one.service, line, sorted(lines), one.seen.body


def _lines(head: bytes) -> Lines:
    pairs = (text.partition(":") for text in head.decode("latin-1").split("\r\n")[1:] if text)
    return [(name.lower(), value.strip()) for name, _, value in pairs]


def _of_lines(what: str, theirs: Lines, ours: Lines) -> list[str]:
    left, right = list(theirs), list(ours)
    for line in theirs:
        if line in right:
            right.remove(line)
            left.remove(line)
    return [f"{what}: only nginx {line}" for line in left] + [f"{what}: only edge {line}" for line in right]
