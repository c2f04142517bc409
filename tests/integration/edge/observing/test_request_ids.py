"""Request ids, and the trace context that is passed on."""

from __future__ import annotations

import re

from tests.support.edge import ask, edge, host, origin, request, settings, upstream

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


async def test_an_id_is_made_or_passed_on() -> None:
    async with origin() as site, edge(host(), upstream(site.port)) as running:
        await ask(running.http)
        await ask(running.http, request("GET", "/", "X-Request-ID: theirs"))
    assert re.fullmatch(rb"[0-9a-f]{32}", site.seen[0].value("X-Request-ID"))
    assert site.seen[1].value("X-Request-ID") == b"theirs"


async def test_no_id_is_made_where_none_is_wanted() -> None:
    async with origin() as site, edge(host(), upstream(site.port), settings(generate_request_id=False)) as running:
        for sent in (request(), request("POST", "/", body=b"abc"), request("GET", "/", "X-Request-ID: theirs")):
            await ask(running.http, sent)
        running.change(settings())
        await ask(running.http)
    assert [seen.values("X-Request-ID") for seen in site.seen[:3]] == [[], [], [b"theirs"]]
    assert site.seen[1].body == b"abc"
    assert len(site.seen[3].value("X-Request-ID")) == 32


async def test_the_trace_context_goes_on_as_it_came() -> None:
    async with origin() as site, edge(host(), upstream(site.port)) as running:
        await ask(running.http, request("GET", "/", f"traceparent: {TRACE}", "tracestate: a=1,b=2", "baggage: c=3"))
    (seen,) = site.seen
    assert seen.value("traceparent") == TRACE.encode()
    assert seen.value("tracestate") == b"a=1,b=2"
    assert seen.value("baggage") == b"c=3"
