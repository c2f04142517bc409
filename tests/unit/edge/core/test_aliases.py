"""Other names of hosts in a generation: which one a Host is, how it is planned, and what a change touches."""

from __future__ import annotations

import pytest

from proto.codec import record_of
from proto.resources import Alias, Certificate, PathMatch, ResourceKey, ResourceRecord, Route, VirtualHost
from proto.resources import Forward as ForwardAction
from services.edge.core.generation import Generation
from services.edge.core.plan import Decision, Forward, Question, Redirect, plan

CERTIFICATE = Certificate((b"leaf",), ("a.example",), 0, 1, "", b"")


def host(name: str, path: str = "/", **more: object) -> ResourceRecord:
    route = Route(PathMatch("prefix", path), ForwardAction(f"ns/{name.replace('*', 'any')}:80"), (), "ns/i", path)
    return record_of(name, VirtualHost(name, routes=(route,), **more))  # type: ignore[arg-type]


def alias(name: str, of: str, **more: object) -> ResourceRecord:
    return record_of(name, Alias(of, **more))  # type: ignore[arg-type]


def generation(*records: ResourceRecord) -> Generation:
    return Generation.first(records, 1, 1, bytes(32))


def decide(table: Generation, name: str, target: str = "/", *, https: bool = True, port: int = 443) -> Decision:
    return plan(table.host(name), target.encode(), Question(name.encode(), https, https, None, port), 0)


def who(table: Generation, name: str) -> str:
    decision = decide(table, name)
    return decision.upstream if isinstance(decision, Forward) else "nobody"


NAMES = generation(
    host("a.example"),
    host("b.example"),
    host("c.example"),
    host("*.wild.example"),
    alias("exact.wild.example", "a.example"),
    alias("*.deep.example", "a.example"),
    alias("*.more.deep.example", "b.example"),
    alias("front.*", "b.example"),
    alias("front.end.*", "c.example"),
    alias("~^app[0-9]+[.]example$", "c.example"),
    alias("~^app1[.]", "b.example"),
    alias("~^x[.]wild[.]", "a.example"),
    alias("~^any", "*.wild.example"),
)


@pytest.mark.parametrize(
    ("name", "served"),
    [
        ("a.example", "ns/a.example:80"),
        ("exact.wild.example", "ns/a.example:80"),  # exact before the wildcard host
        ("other.wild.example", "ns/any.wild.example:80"),
        ("x.wild.example", "ns/any.wild.example:80"),  # "*." comes before "a" among patterns
        ("one.deep.example", "ns/a.example:80"),
        ("two.one.deep.example", "ns/a.example:80"),  # any depth, unlike a host of a rule
        ("one.more.deep.example", "ns/b.example:80"),  # the longest
        ("deep.example", "nobody"),
        ("front.anything.test", "ns/b.example:80"),
        ("front.end.test", "ns/c.example:80"),
        ("app7.example", "ns/c.example:80"),
        ("app1.example", "ns/b.example:80"),  # of two patterns the one of the first host by name
        ("anything", "ns/any.wild.example:80"),
        ("stranger.test", "nobody"),
    ],
)
def test_names_are_looked_up_in_nginxs_order(name: str, served: str) -> None:
    assert who(NAMES, name) == served


def test_an_alias_is_served_as_its_host_with_tls_of_its_own() -> None:
    table = generation(
        host("a.example", tls=True, certificate="ns/tls"),
        record_of("ns/tls", CERTIFICATE),
        alias("covered.example", "a.example", tls=True, certificate="ns/tls"),
        alias("not.covered.example", "a.example"),
    )
    assert isinstance(decide(table, "a.example", https=False), Redirect)
    assert isinstance(decide(table, "covered.example", https=False), Redirect)
    decision = decide(table, "not.covered.example", https=False)
    assert isinstance(decision, Forward)
    assert decision.labels.host == "a.example"
    assert table.certificate_for("covered.example") == "ns/tls"
    assert table.certificate_for("not.covered.example") is None


def test_a_name_that_leads_to_its_host_answers_with_the_port_and_without_the_last_slash() -> None:
    table = generation(host("a.example"), alias("www.a.example", "a.example", redirects=True))
    for target, https, port, location in (
        ("/", True, 443, b"https://a.example:443"),
        ("/p/?q=1", False, 8080, b"http://a.example:8080/p/?q=1"),
        ("/p/", False, 80, b"http://a.example:80/p"),
    ):
        decision = decide(table, "www.a.example", target, https=https, port=port)
        assert isinstance(decision, Redirect)
        assert (decision.status, decision.location) == (308, location)


def test_changes_reach_what_was_planned_under_another_name() -> None:
    first = generation(host("a.example"), host("b.example"), alias("x.example", "a.example"), alias("~^p", "a.example"))
    assert (who(first, "x.example"), who(first, "p.example")) == ("ns/a.example:80",) * 2
    second = first.next([host("a.example", "/only")], [], 1, 2, bytes(32))
    assert (who(second, "x.example"), who(second, "p.example")) == ("nobody",) * 2
    third = second.next([alias("x.example", "b.example")], [ResourceKey("alias", "~^p")], 1, 3, bytes(32))
    assert (who(third, "x.example"), who(third, "p.example")) == ("ns/b.example:80", "nobody")
    fourth = third.next([], [ResourceKey("alias", "x.example")], 1, 4, bytes(32))
    assert who(fourth, "x.example") == "nobody"
    assert who(first, "x.example") == "ns/a.example:80"


def test_a_host_that_an_ingress_declares_is_no_alias() -> None:
    table = generation(host("a.example"), alias("b.example", "a.example"))
    assert who(table, "b.example") == "ns/a.example:80"
    after = table.next([host("b.example")], [ResourceKey("alias", "b.example")], 1, 2, bytes(32))
    assert who(after, "b.example") == "ns/b.example:80"
