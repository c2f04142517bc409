"""What an edge would make of one request, step by step: the edge's own pure code, with somebody looking on.

Pure: a generation and a request in, the explanation out. Nothing is sent. What a phase would have to ask somebody (a
counter, another server, chance) is named, and taken for an answer that lets the request pass.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from cryptography import x509
from msgspec import Struct
from msgspec.structs import replace

from proto.handshakes import ClientCertificates
from proto.resources import CATCH_ALL, ResourceRecord
from services.cli.explain_candidates import Candidates, candidates_of, routes_of
from services.cli.explain_endpoints import Endpoints, endpoints_of, endpoints_passed
from services.cli.explain_words import copied, inquired, instead, said
from services.contract.paths import normalise
from services.edge.core.asked import Asked, Machine
from services.edge.core.client_certificates import Verified
from services.edge.core.course import Course, Onward
from services.edge.core.edits import edit_request
from services.edge.core.forwarded import ClientFacts, client_facts
from services.edge.core.generation import Generation
from services.edge.core.link import Link
from services.edge.core.outcomes import Answer, Ask, Check, Outcome
from services.edge.core.phases import PHASES, Context, answer_of
from services.edge.core.plan import CustomErrors, Decision, Forward, Policed, RoutePlan, plan
from services.edge.core.policies.tracing import Identifiers
from services.edge.core.prepared import Prepared, prepare
from services.edge.core.request_head import RefusedError
from services.edge.core.whole_head import read_head
from services.runtime.version import software

IDENTIFIERS: Final = bytes.fromhex("a" * 32 + "b" * 16)
"""Of a trace and a span, as they stand in an explanation."""
REQUEST_ID: Final = b"<32 hexadecimal digits>"
ANY_HOST: Final = "(any host)"
_MACHINE: Final = Machine("here", 0, software())
_BY_NAME: Final = {phase.name: phase for phase in PHASES}


class Request(Struct, frozen=True):
    """A request as a client would send it. ``headers``: further lines (name, value)."""

    method: str
    host: str
    target: str
    tls: bool = False
    port: int = 80
    address: str = "127.0.0.1"
    headers: tuple[tuple[str, str], ...] = ()

    def head(self) -> bytes:
        """The bytes of its head."""
        named = {name.lower() for name, _ in self.headers}
        lines = [] if "host" in named else [f"Host: {self.host}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        text = "\r\n".join((f"{self.method} {self.target} HTTP/1.1", *lines, "", ""))
        return text.encode("utf-8", "surrogateescape")


class Step(Struct, frozen=True):
    """What a phase said."""

    phase: str
    said: str


class Explanation(Struct, frozen=True):
    """``refused``: why the request is no request at all. ``host``: whose routes are looked at, and ``by``: how it was
    found. ``leaves``: the head as the endpoint would get it. ``passes``: the Upstream that TLS connections for the host
    are handed on to unopened: nobody reads the request here, and nothing else is said. ``gets``: lines that
    the route puts into heads of responses, whoever answers. ``errors``: which answers are replaced, by what
    (``custom-http-errors``). ``remarks``: what else is to be known, in sentences."""

    request: str
    refused: str = ""
    host: str = ""
    by: str = ""
    path: str = ""
    client: str = ""
    candidates: Candidates = Candidates("plain")
    steps: tuple[Step, ...] = ()
    outcome: str = ""
    status: int = 0
    leaves: str = ""
    endpoints: Endpoints | None = None
    passes: str = ""
    gets: str = ""
    errors: str = ""
    remarks: tuple[str, ...] = ()


class _NoCertificate(Struct, frozen=True):
    """A TLS client that was asked for a certificate and has none."""

    server_name: str
    asked: bool = True
    shown: tuple[x509.Certificate, ...] = ()
    verdict: Verified | None = None

    def verify(self, rules: ClientCertificates, generation: Generation) -> Verified:
        """There is nothing to verify."""
        return Verified()


def explain(generation: Generation, records: Iterable[ResourceRecord], request: Request) -> Explanation:
    """What becomes of ``request``."""
    line = f"{request.method} {request.target} for {request.host}"
    passes = generation.streams.passes(request.host.lower(), generation.has_host) if request.tls else None
    if passes is not None:
        outcome = f"TLS is not opened here: the connection is handed on to {passes} (ssl-passthrough)"
        return Explanation(line, outcome=outcome, endpoints=endpoints_passed(generation, passes), passes=passes)
    try:
        head = read_head(request.head(), generation.head_limits)
    except RefusedError as error:
        return Explanation(line, refused=f"{error.status}, {error.reason}: not a request that an edge reads")
    peer = _NoCertificate(head.headers.host) if request.tls else None
    facts = client_facts(request.address, request.port, request.tls, peer)
    prepared = prepare(facts, head.headers, generation, None)
    standing, target = prepared.standing, head.line.target
    path = normalise(target.partition(b"?")[0]) or ""
    host = standing.host.host
    candidates = candidates_of(*routes_of(records, host), path) if path else Candidates("plain")
    decision = plan(standing.host, target, standing.question, max(head.headers.length, 0))
    run = _Run(generation, prepared, facts, head.line.method, target, request)
    told = run.follow(decision, _route_plan(prepared, path), candidates)
    return Explanation(
        line,
        host=host or ANY_HOST,
        by=_how(host, head.headers.host),
        path=path,
        client=standing.address,
        candidates=candidates,
        steps=tuple(run.steps),
        outcome=_outcome(told, run.decided_by, run.instead_of(told)),
        status=run.status_of(told),
        leaves=run.leaves(told).decode("latin-1") if isinstance(told, Onward) else "",
        endpoints=endpoints_of(generation, told.forward, candidates.route) if isinstance(told, Onward) else None,
        gets=run.gets.decode("latin-1"),
        errors=run.replacements() if isinstance(told, Onward) else "",
    )


def _how(host: str, asked: str) -> str:
    if host == CATCH_ALL:
        return f"nobody declared {asked}"
    return "by its name" if host == asked else f"{asked} falls under it"


def _route_plan(prepared: Prepared, path: str) -> RoutePlan | None:
    found = prepared.standing.host.routes.find(path) if path else None
    return found if isinstance(found, RoutePlan) else None


class _Run:
    """One request on its way. ``steps``: what was said; ``decided_by``: the phase that answered, if one did; ``gets``:
    what the route puts into the head of the response."""

    def __init__(
        self,
        generation: Generation,
        prepared: Prepared,
        facts: ClientFacts,
        method: bytes,
        target: bytes,
        request: Request,
    ) -> None:
        self._generation = generation
        self._prepared = prepared
        self._facts = facts
        self._method, self._target = method, target
        self._link = Link(request.address, 0, "", request.port, request.tls, request.host if request.tls else "")
        self.steps: list[Step] = []
        self.decided_by = ""
        self.gets = b""
        self._errors: CustomErrors | None = None
        self._passed = True

    def follow(self, decision: Decision, route: RoutePlan | None, candidates: Candidates) -> Answer | Onward:
        """The end of it. Phases of routes without policies are shown too, though an edge has their answer ready."""
        host_phase = self._host_phase(decision, route)
        if isinstance(decision, Policed):
            policed = decision
        elif host_phase or route is None or candidates.route is None:
            self.decided_by = host_phase or ("closing-slash" if candidates.closing_slash else "no-route")
            self.steps.append(Step(self.decided_by, said(_settled(decision))))
            return _settled(decision)
        else:
            policed = self._plain(route, candidates)
        self._errors = policed.errors
        course = Course(self._watched(policed), self._asked(policed))
        told = course.run()
        while isinstance(told, Ask):
            if isinstance(told.question, Identifiers):
                self.steps.append(Step(course.phase, said(told.after(IDENTIFIERS))))
                told = course.told(told, IDENTIFIERS)
            else:
                self.steps.append(Step(course.phase, inquired(told.question)))
                told = course.run()
        self.gets = course.dressed(told.status if isinstance(told, Answer) else 200, b"")
        if isinstance(told, Answer):
            self.decided_by = "" if self._passed else course.phase  # "": what the route leads to
        elif policed.mirroring is not None:
            self.steps.append(Step("mirror", copied(policed.mirroring(course.asked, self.leaves(told)))))
        return told if isinstance(decision, Policed) else _agreed(told, _settled(decision))

    def leaves(self, onward: Onward) -> bytes:
        """The head for the endpoint, as the edge puts it together."""
        headers = self._prepared.headers
        made = self._generation.settings.generate_request_id and not headers.request_id
        target = onward.forward.target or self._target
        middle, known = self._prepared.middle, REQUEST_ID if made else b""
        head = b"".join((self._method, b" ", target, middle, known, b"\r\n\r\n"))
        return edit_request(head, onward.edits) if onward.edits else head

    def instead_of(self, told: Answer | Onward) -> str:
        """What the client gets in the place of this answer; empty if nothing is."""
        replaced = isinstance(told, Answer) and self._errors is not None and told.status in self._errors.statuses
        return instead(self._errors, self._generation.has_endpoints) if replaced and self._errors else ""

    def status_of(self, told: Answer | Onward) -> int:
        """The status that the client gets of the edge; 0 if somebody else says it."""
        if not isinstance(told, Answer):
            return 0
        instead = self.instead_of(told)
        return told.status if not instead else 404 if instead.startswith("404") else 0

    def replacements(self) -> str:
        """Which answers to a request that goes on are replaced, and by what."""
        if self._errors is None:
            return ""
        statuses = ", ".join(map(str, sorted(self._errors.statuses)))
        whose = "" if self._errors.endpoints else " of the edge's own"
        return f"{statuses}{whose}: {instead(self._errors, self._generation.has_endpoints)}"

    def _asked(self, policed: Policed) -> Asked:
        return Asked(
            self._method,
            self._target,
            self._prepared,
            policed.labels,
            self._facts,
            self._link,
            _MACHINE,
            minor=1,
            request_id=self._prepared.headers.request_id or REQUEST_ID,
            started=0.0,
        )

    def _host_phase(self, decision: Decision, route: RoutePlan | None) -> str:
        """The phase before the routes' that decided, if one did."""
        standing = self._prepared.standing
        host, question = standing.host, standing.question
        path = normalise(self._target.partition(b"?")[0])
        if path is None:
            return "path"
        if question.refused is not None:
            blocked = self._generation.blocked
            by_headers = blocked is not None and blocked.blocks(self._prepared.headers.block)
            return "blocked" if by_headers else "client-certificate"
        if path == host.health:
            return "health"
        if host.leads_to:
            return "www"
        if host.denied:
            return "host-denied"
        if host.app_root and path == "/":
            return "app-root"
        too_large = max(self._prepared.headers.length, 0) > (host.body_limit if route is None else route.body_limit)
        return "body-size" if too_large and not isinstance(decision, Forward) else ""

    def _plain(self, route: RoutePlan, candidates: Candidates) -> Policed:
        """The phases that routes without policies have."""
        found = candidates.route
        assert found is not None
        host, generation = self._prepared.standing.host, self._generation
        context = Context(
            host.host,
            host.tls,
            found,
            route,
            generation.settings,
            generation.proxying,
            generation.credentials,
            generation.upstream,
        )
        made = [
            (phase.name, check)
            for phase in PHASES
            if phase.plain and phase.compile is not None and (check := phase.compile(context)) is not None
        ]
        names, checks = tuple(name for name, _ in made), tuple(check for _, check in made)
        return Policed(route.labels, names, checks, route.action, route.over_tls)

    def _watched(self, policed: Policed) -> Policed:
        """``policed`` with somebody who notes what its checks say."""

        def watch(name: str, check: Check) -> Check:
            def watched(asked: Asked) -> Outcome:
                self._passed = False
                outcome = check(asked)
                self._passed = not isinstance(outcome, Answer)
                if not isinstance(outcome, Ask):
                    self.steps.append(Step(name, said(outcome)))
                return outcome

            return watched

        return replace(policed, checks=tuple(map(watch, policed.names, policed.checks)))


def _settled(decision: Decision) -> Answer | Onward:
    assert not isinstance(decision, Policed)
    return Onward(decision) if isinstance(decision, Forward) else answer_of(decision)


def _agreed(told: Answer | Onward, settled: Answer | Onward) -> Answer | Onward:
    """What the edge has ready counts; the phases said the same, except that it looks for endpoints later."""
    if isinstance(told, Answer) and isinstance(settled, Onward) and told.status == 503:
        return told
    return settled


def _outcome(told: Answer | Onward, decided_by: str, instead_of: str) -> str:
    by = f", by {decided_by}: {_BY_NAME[decided_by].doc}" if decided_by in _BY_NAME else ""
    return f"{said(told)}{by}{f'; instead of it {instead_of}' if instead_of else ''}"
