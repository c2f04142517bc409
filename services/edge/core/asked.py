"""What policies see of a request: read lazily from what the head reader has, so that a look costs what it looks at.

Owns how a value is found in a request. Pure, and lives as long as one request. Templates of nginx's variables take
their values from it through ``services.edge.core.asked_values``.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from msgspec import Struct

from services.contract.paths import normalise
from services.edge.core.header_reads import Read, cookie, header

if TYPE_CHECKING:
    from services.edge.core.forwarded import ClientFacts
    from services.edge.core.generation import Generation
    from services.edge.core.link import Link
    from services.edge.core.plan import HostPlan, Question, RouteLabels
    from services.edge.core.prepared import Prepared
    from services.edge.core.request_head import RequestHeaders
    from services.edge.core.tracing import Trace

_header = lru_cache(1024)(header)
_cookie = lru_cache(1024)(cookie)


class Machine(Struct, frozen=True, gc=False):
    """What values say of the machine, the worker's process and the program."""

    hostname: str
    pid: int
    version: str


class Asked:
    """See the module. ``target``: raw, as the client sent it; ``minor``: 0 and 1 of HTTP/1, 2 for HTTP/2; ``address``:
    of the client as far as forwarders are believed; ``authority``: the Host that the endpoint is told; ``https``: the
    scheme as far as forwarders are believed, ``tls``: that of the connection itself; ``user``: who it turned out to be.
    ``trace``: its span, where requests are traced.
    """

    __slots__ = (
        "_lower",
        "_path",
        "address",
        "authority",
        "block",
        "facts",
        "generation",
        "headers",
        "host",
        "https",
        "labels",
        "link",
        "machine",
        "method",
        "minor",
        "question",
        "request_id",
        "started",
        "target",
        "tls",
        "trace",
        "user",
    )

    def __init__(
        self,
        method: bytes,
        target: bytes,
        prepared: Prepared,
        labels: RouteLabels,
        facts: ClientFacts,
        link: Link,
        machine: Machine,
        *,
        minor: int,
        request_id: bytes,
        started: float,
    ) -> None:
        standing = prepared.standing
        self.method = method
        self.target = target
        self.minor = minor
        self.headers: RequestHeaders = prepared.headers
        self.block: bytes = prepared.headers.block
        self.generation: Generation = standing.generation
        self.host: HostPlan = standing.host
        self.question: Question = standing.question
        self.authority: bytes = standing.question.authority
        self.https: bool = standing.question.https
        self.tls: bool = standing.question.tls
        self.address: str = standing.address
        self.labels = labels
        self.facts = facts
        self.link = link
        self.machine = machine
        self.request_id = request_id
        self.started = started
        self.user = b""
        self.trace: Trace | None = None
        self._lower = b""
        self._path = ""

    @property
    def path(self) -> str:
        """The path as routes are matched by it: decoded (a byte is a character), merged, dot segments resolved."""
        if not self._path:
            self._path = normalise(self.target.partition(b"?")[0]) or "/"
        return self._path

    @property
    def query(self) -> bytes:
        """The query as it was written, without ``?``."""
        return self.target.partition(b"?")[2]

    @property
    def scheme(self) -> str:
        """``http`` or ``https``, as far as forwarders are believed."""
        return "https" if self.https else "http"

    @property
    def port(self) -> int:
        """The port that the endpoint is told."""
        return self.question.told_port

    def header(self, name: str) -> bytes | None:
        """A header of the request, by its name in lower case; several lines are joined by ", "; None: there is none."""
        return self.read(_header(name))

    def cookie(self, name: str) -> bytes | None:
        """A cookie of the request."""
        return self.read(_cookie(name.lower()))

    def argument(self, name: str) -> bytes | None:
        """The first argument of that name in the query, in any case, as it was written."""
        wanted = name.lower().encode()
        for pair in self.query.split(b"&"):
            found, equals, value = pair.partition(b"=")
            if equals and found.lower() == wanted:
                return value
        return None

    def read(self, read: Read) -> bytes | None:
        """What ``read`` finds among the headers."""
        if not self._lower:
            self._lower = self.block.lower()
        return read(self.block, self._lower)
