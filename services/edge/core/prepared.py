"""What follows from a request's headers before its line is looked at: worked out once while a client repeats them.

Clients on a kept connection often send the same headers byte for byte, and nearly always the same Host. Owns that
memory; a connection keeps one value. Pure.
"""

from __future__ import annotations

from msgspec import Struct

from services.edge.core.forwarded import ClientFacts, tell
from services.edge.core.generation import Generation
from services.edge.core.outgoing import middle, opening
from services.edge.core.plan import HostPlan, Question
from services.edge.core.request_head import NOT_FORWARDED, RequestHeaders


class Prepared(Struct, frozen=True, gc=False):
    """Headers with everything that follows from them in one generation.

    ``block``: as received, empty where the next request must not be compared with it. ``opening`` and ``middle``: of
    the head for the endpoint. ``ending``: what ends a response's head that needs nothing else; empty where more is
    needed. ``plain``: ``ending`` adds no header. ``address``: the client's.
    """

    block: bytes
    headers: RequestHeaders
    generation: Generation
    host: HostPlan
    question: Question
    address: str
    opening: bytes
    middle: bytes
    plain: bool
    ending: bytes


def prepare(facts: ClientFacts, headers: RequestHeaders, generation: Generation, before: Prepared | None) -> Prepared:
    """What follows from ``headers``. ``before``: of the same connection, for what has not changed since."""
    if (
        before is not None
        and before.generation is generation
        and before.block
        and headers.length == 0
        and headers.minor == 1
        and headers.authority == before.headers.authority
        and headers.forwarded is NOT_FORWARDED
        and before.headers.forwarded is NOT_FORWARDED
    ):
        return Prepared(
            headers.block,
            headers,
            generation,
            before.host,
            before.question,
            before.address,
            before.opening,
            middle(before.opening, headers),
            before.plain,
            before.ending,
        )
    told = tell(facts, headers, generation.trust)
    opening_ = opening(told)
    plain = not facts.tls or not generation.security_line
    ending = b""
    if headers.minor == 1 and not generation.settings.server_tokens:
        ending = b"\r\n" if plain else generation.security_line + b"\r\n"
    return Prepared(
        headers.block if headers.length == 0 and headers.minor == 1 else b"",
        headers,
        generation,
        generation.host(headers.host),
        Question(told.authority, told.https, facts.tls, headers.length),
        told.client,
        opening_,
        middle(opening_, headers),
        plain,
        ending,
    )
