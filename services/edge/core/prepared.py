"""What follows from a request's headers before its line is looked at: worked out once while a client repeats them.

Clients on a kept connection often send the same headers byte for byte, and nearly always the same Host. Owns that
memory; a connection keeps one value. Pure.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from services.edge.core.client_certificates import ClientGuard, Judgement, Peer, judge
from services.edge.core.forwarded import HTTPS_PORT, ClientFacts, Told, originals, tell
from services.edge.core.generation import Generation
from services.edge.core.outgoing import NO_ID, middle, opening
from services.edge.core.plan import (
    NO_UPSTREAM,
    Decision,
    Forward,
    HostPlan,
    Question,
    Redirect,
    Respond,
    RouteLabels,
)
from services.edge.core.request_head import NOT_FORWARDED, RequestHeaders


class Standing(Struct, frozen=True, gc=False):
    """What follows from the client and the Host of its requests in one generation.

    ``authority``: what the Host must be for this to hold; empty where more than that was asked. ``address``: the
    client's. ``opening``: of the head for the endpoint. ``plain``: a response's head gets no line of ours; ``ending``:
    what ends one that needs nothing else, empty where more is needed. ``believed``: a forwarder in front was.
    ``simple``: nobody is blocked by what headers say, and requests without an id get one.
    """

    authority: bytes
    generation: Generation
    host: HostPlan
    question: Question
    address: str
    opening: bytes
    plain: bool
    ending: bytes
    believed: bool
    simple: bool


class Prepared(Struct, frozen=True, gc=False):
    """Headers with everything that follows from them in one generation.

    ``block``: as received, empty where the next request must not be compared with it. ``middle``: of the head for the
    endpoint.
    """

    block: bytes
    headers: RequestHeaders
    standing: Standing
    middle: bytes


class Repeated(Struct, frozen=True, gc=False):
    """A whole request without a body (``data``), and where it goes: as long as its generation is in force, a client
    that sends the same bytes again asks for the same."""

    data: bytes
    method: bytes
    target: bytes
    prepared: Prepared
    forward: Forward


def prepare(facts: ClientFacts, headers: RequestHeaders, generation: Generation, standing: Standing | None) -> Prepared:
    """What follows from ``headers``. ``standing``: of the same connection before, kept if it holds."""
    said = headers.forwarded
    if (
        standing is not None
        and standing.simple
        and headers.authority == standing.authority
        and standing.generation is generation
        and said is NOT_FORWARDED
        and headers.minor == 1
    ):
        return Prepared(b"" if headers.length else headers.block, headers, standing, middle(standing.opening, headers))
    if headers.minor == 1 and (said is NOT_FORWARDED or not generation.trust.heeds):
        if standing is None or headers.authority != standing.authority or standing.generation is not generation:
            told_alike = generation.trust.renamed is None
            standing = _stand(facts, headers, generation, headers.authority if told_alike else b"")
    else:
        standing = _stand(facts, headers, generation, b"")
    if generation.blocked is not None and generation.blocked.blocks(headers.block):
        standing = _blocked(standing)
    opening_ = standing.opening
    if said is not NOT_FORWARDED and not standing.believed:
        opening_ += originals(said)
    rest = middle(opening_, headers)
    if not headers.request_id and not generation.settings.generate_request_id:
        rest = rest.removesuffix(NO_ID)  # what is put behind it, an empty id and two line ends, then ends the head
    comparable = headers.length == 0 and headers.minor == 1
    return Prepared(headers.block if comparable else b"", headers, standing, rest)


def _stand(facts: ClientFacts, headers: RequestHeaders, generation: Generation, authority: bytes) -> Standing:
    told = tell(facts, headers, generation.trust)
    host = generation.host(headers.host)
    lines, refused = b"", None
    if host.guard is not None and facts.tls:
        lines, refused = _judge(host.guard, host.host, facts.peer, generation)
    plain = not facts.tls or not generation.security_line
    ending = b""
    if headers.minor == 1 and not generation.settings.server_tokens:
        ending = b"\r\n" if plain else generation.security_line + b"\r\n"
    return Standing(
        authority,
        generation,
        host,
        Question(told.authority, told.https, facts.tls, refused, _own_port(facts, told), told.port),
        told.client,
        opening(told) + lines,
        plain,
        ending,
        told.believed,
        generation.blocked is None and generation.settings.generate_request_id,
    )


def _own_port(facts: ClientFacts, told: Told) -> int:
    """The port in addresses that lead here again: as a forwarder says, else the listener's, for https always 443."""
    return told.forwarded_port or (HTTPS_PORT if told.https else facts.port)


def _blocked(standing: Standing) -> Standing:
    """The same client, answered 403 whatever it asks for; nothing that follows for other requests."""
    refused = Respond(RouteLabels(standing.host.host, upstream=NO_UPSTREAM), 403)
    return replace(standing, authority=b"", question=replace(standing.question, refused=refused))


def _judge(guard: ClientGuard, host: str, peer: Peer | None, generation: Generation) -> tuple[bytes, Decision | None]:
    """(lines for the endpoint about the client's certificate, what a client without a good one is answered)."""
    judged = judge(guard, host, peer, generation) if peer is not None else Judgement(421)
    if not judged.status:
        return judged.lines, None
    labels = RouteLabels(host, upstream=NO_UPSTREAM)
    if judged.location:
        return b"", Redirect(labels, judged.status, judged.location)
    return b"", Respond(labels, judged.status, judged.page)
