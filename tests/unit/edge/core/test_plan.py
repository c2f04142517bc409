"""Decisions: the phases in their order, on generations made by hand."""

from __future__ import annotations

import pytest

from proto.codec import decode, encode, record_of
from proto.policies import Policy, Rewrite, SSLRedirect
from proto.resources import (
    Certificate,
    Endpoint,
    PathMatch,
    ResourceKey,
    ResourceRecord,
    Route,
    RouteGroup,
    Settings,
    Upstream,
    VirtualHost,
)
from proto.resources import Forward as ForwardAction
from proto.resources import Respond as RespondAction
from services.edge.core.generation import Generation
from services.edge.core.own_lines import security_line
from services.edge.core.plan import Decision, Forward, Question, Redirect, Respond, plan


def route(path: str = "/", *policies: Policy, action: object = None, **more: object) -> Route:
    """A Prefix route to ``default/web:80``."""
    return Route(PathMatch("prefix", path), action or ForwardAction("default/web:80"), policies, "ns/i", path, **more)  # type: ignore[arg-type]


def generation(*records: ResourceRecord) -> Generation:
    """A first generation."""
    return Generation.first(records, 1, 1, bytes(32))


def host(name: str = "a.example", *routes: Route, **more: object) -> ResourceRecord:
    """A host's record."""
    return record_of(name, VirtualHost(name, routes=routes or (route(),), **more))  # type: ignore[arg-type]


def decide(
    table: Generation,
    target: str,
    name: str = "a.example",
    *,
    https: bool = False,
    length: int = 0,
    authority: str = "",
) -> Decision:
    """The decision for a request."""
    question = Question((authority or name).encode(), https, https)
    return plan(table.host(name), target.encode(), question, length)


def location(decision: Decision) -> str:
    """Where a redirect leads."""
    assert isinstance(decision, Redirect)
    return f"{decision.status} {decision.location.decode()}"


def test_forwarding_carries_the_labels_of_its_route() -> None:
    decision = decide(generation(host()), "/x?y")
    assert isinstance(decision, Forward)
    assert (decision.upstream, decision.target) == ("default/web:80", b"")
    labels = decision.labels
    assert (labels.host, labels.namespace, labels.ingress) == ("a.example", "ns", "i")
    assert (labels.service, labels.port, labels.path) == ("web", "80", "/")


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/foo/?a=1", "308 https://a.example/foo/?a=1"),
        ("/foo/", "308 https://a.example/foo"),
        ("/", "308 https://a.example"),
        ("//evil/", "308 https://a.example//evil"),
    ],
)
def test_https_redirects(target: str, expected: str) -> None:
    table = generation(host(tls=True))
    assert location(decide(table, target, authority="a.example:8080")) == expected
    assert isinstance(decide(table, target, https=True), Forward)


@pytest.mark.parametrize(
    ("policy", "settings", "tls", "redirected"),
    [
        (SSLRedirect(None, None), Settings(), True, True),
        (SSLRedirect(None, None), Settings(), False, False),
        (SSLRedirect(False, None), Settings(), True, False),
        (SSLRedirect(False, True), Settings(), False, True),
        (SSLRedirect(None, None), Settings(ssl_redirect=False), True, False),
        (SSLRedirect(True, None), Settings(ssl_redirect=False), True, True),
        (SSLRedirect(None, None), Settings(force_ssl_redirect=True), False, True),
        (SSLRedirect(None, False), Settings(force_ssl_redirect=True), False, False),
    ],
)
def test_who_says_whether_to_redirect(policy: Policy, settings: Settings, tls: bool, redirected: bool) -> None:
    table = generation(host("a.example", route("/", policy), tls=tls), record_of("global", settings))
    assert isinstance(decide(table, "/x"), Redirect if redirected else Forward)


def test_exempt_paths_and_the_code_of_redirects() -> None:
    acme = route("/.well-known/acme-challenge/x")
    table = generation(
        host("a.example", route(), acme, tls=True), record_of("global", Settings(http_redirect_code=301))
    )
    assert isinstance(decide(table, "/.well-known/acme-challenge/x"), Forward)
    assert location(decide(table, "/y")) == "301 https://a.example/y"


@pytest.mark.parametrize(
    ("target", "exempt"),
    [
        ("/.well-known/acme-challenge/token", True),
        ("/.well-known/acme-challenge", True),
        ("//.well-known/./acme%2Dchallenge/token", True),
        ("/.well-known/acme-challenge/../../account", False),
        ("/x/.well-known/acme-challenge/token", False),
        ("/y", False),
    ],
)
def test_requests_below_an_exempt_location_stay_on_http_without_a_route_of_their_own(target: str, exempt: bool) -> None:
    """A solver may answer behind any route that takes the path; what counts is where the path leads."""
    table = generation(host("a.example", route("/", Rewrite("/(.*)", "/$1")), tls=True), host("b.example", tls=True))
    for name in ("a.example", "b.example"):
        assert isinstance(decide(table, target, name), Forward if exempt else Redirect)
    forced = host("a.example", route("/", SSLRedirect(None, True)))
    assert isinstance(decide(generation(forced), target), Forward if exempt else Redirect)


def test_nothing_is_exempt_where_nothing_is_named() -> None:
    table = generation(host(tls=True), record_of("global", Settings(no_tls_redirect_locations=())))
    assert isinstance(decide(table, "/.well-known/acme-challenge/token"), Redirect)


def test_exact_before_wildcard_before_catch_all() -> None:
    table = generation(host("*.foo.com"), host("a.foo.com"), host())
    asked = ("a.foo.com", "b.foo.com", "a.b.foo.com", "foo.com")
    assert [table.host(name).host for name in asked] == ["a.foo.com", "*.foo.com", "", ""]
    assert generation(host("a.foo.com")).host("foo.com").host == ""


def test_a_host_takes_part_in_the_tls_of_its_wildcard_and_follows_its_changes() -> None:
    table = generation(host("x.wild.example"), host("*.wild.example", tls=True))
    assert isinstance(decide(table, "/y", "x.wild.example"), Redirect)
    table = table.next([], [ResourceKey("virtualhost", "*.wild.example")], 1, 2, bytes(32))
    assert isinstance(decide(table, "/y", "x.wild.example"), Forward)


def test_certificates_end_at_the_first_host_that_has_tls() -> None:
    """A host whose own certificate is not there shows the default one, whatever its wildcard has (contract 1.8)."""
    names = ("default/wild", "default/own", "default/default")
    records = [record_of(name, Certificate((b"x",), (), 0, 1, "", b"")) for name in names]
    table = generation(
        host("*.wild.example", tls=True, certificate="default/wild"),
        host("bare.wild.example"),
        host("own.wild.example", tls=True, certificate="default/own"),
        host("empty.wild.example", tls=True),
        host("gone.wild.example", tls=True, certificate="default/gone"),
        *records,
        record_of("global", Settings(default_certificate="default/default")),
    )
    found = {label: table.certificate_for(f"{label}.wild.example") for label in ("any", "bare", "own", "empty", "gone")}
    assert found == {
        "any": "default/wild",
        "bare": "default/wild",
        "own": "default/own",
        "empty": "default/default",
        "gone": "default/default",
    }
    assert table.certificate_for("") == table.certificate_for("a.any.wild.example") == "default/default"
    for label in ("any", "bare", "own", "empty", "gone"):
        assert isinstance(decide(table, "/x", f"{label}.wild.example"), Redirect)


def test_the_order_of_phases() -> None:
    """app-root, body limit, denied, rewriting redirect, https, then the rest."""
    away = Rewrite("/(.*)", "https://n.example/$1")
    closed = route("/closed", away, action=RespondAction(503))
    table = generation(host("a.example", route("/", away), closed, tls=True, app_root="/console"))
    assert (
        location(decide(table, "/?x=1", authority="a.example:81", length=9999999)) == "302 http://a.example:81/console"
    )
    large = decide(table, "/big", length=1024 * 1024 + 1)
    assert isinstance(large, Respond)
    assert (large.status, large.labels.ingress) == (413, "i")
    assert decide(table, "/closed/x", length=1024 * 1024 + 1).status == 413  # type: ignore[union-attr]
    denied = decide(table, "/closed/x")
    assert isinstance(denied, Respond)
    assert denied.status == 503
    assert location(decide(table, "/a/b?c=1")) == "302 https://n.example/a/b?c=1"


def test_rewrites() -> None:
    table = generation(host("a.example", route("/something", Rewrite("/something(/|$)(.*)", "/$2"))))
    decision = decide(table, "/something/new%20x?y=1")
    assert isinstance(decision, Forward)
    assert decision.target == b"/new%20x?y=1"
    assert isinstance(decide(table, "/else"), Respond)


def test_a_missing_closing_slash() -> None:
    table = generation(host("a.example", route("/foo/")))
    assert location(decide(table, "/foo?x", authority="a.example:8080")) == "301 http://a.example/foo/?x"


def test_unknown_hosts_health_and_the_default_backend() -> None:
    table = generation(host())
    assert [decide(table, path, "b.example").status for path in ("/", "/healthz")] == [404, 200]  # type: ignore[union-attr]
    table = generation(record_of("global", Settings(default_upstream="d/d:80")), record_of("d/d:80", Upstream()))
    assert isinstance(decide(table, "/", "b.example"), Forward)


def test_records_of_a_kind_of_tomorrow_come_and_go_without_harm() -> None:
    strange = decode(encode(("kind-of-tomorrow", "x", b"\xc0")), ResourceRecord)
    table = generation(host(), strange)
    assert decide(table, "/", "b.example").status == 404  # type: ignore[union-attr]
    denied = record_of("b.example", VirtualHost("b.example", denied=True))
    changed = generation(host()).next((strange, denied), (), 1, 2, b"")
    assert decide(changed, "/", "b.example").status == 503  # type: ignore[union-attr]
    gone = changed.next((), (strange.key, denied.key), 1, 3, b"")
    assert decide(gone, "/", "b.example").status == 404  # type: ignore[union-attr]


def test_denied_hosts_and_bad_paths() -> None:
    table = generation(host(denied=True))
    assert decide(table, "/").status == 503  # type: ignore[union-attr]
    for target in ("/%zz", "/a%00", "/../x", "/%"):
        assert decide(table, target).status == 400  # type: ignore[union-attr]


def test_what_cannot_be_compiled_is_closed() -> None:
    table = generation(host("a.example", route("/", Rewrite("(", "/"))))
    assert decide(table, "/").status == 503  # type: ignore[union-attr]
    bad = VirtualHost("c.example", "regex", (Route(PathMatch("regex", "^/("), ForwardAction("u")),))
    assert decide(generation(record_of("c.example", bad)), "/", "c.example").status == 503  # type: ignore[union-attr]


def test_route_groups_follow_the_routes() -> None:
    first = VirtualHost("a.example", routes=(route("/one"),), groups=("g1", "g2"))
    table = generation(record_of("a.example", first), record_of("g1", RouteGroup((route("/two"),))))
    assert isinstance(decide(table, "/two"), Forward)
    assert isinstance(decide(table, "/three"), Respond)
    table = table.next([record_of("g2", RouteGroup((route("/three"),)))], [], 1, 2, bytes(32))
    assert isinstance(decide(table, "/three"), Forward)


def test_plans_and_upstreams_that_a_change_does_not_touch_are_carried_over() -> None:
    upstream = record_of("u", Upstream((Endpoint("10.0.0.1", 80),)))
    table = generation(host(), host("b.example"), upstream, record_of("v", Upstream()))
    plans, kept = [table.host("a.example"), table.host("b.example")], table.upstream("u")
    after = table.next([host("b.example", route("/new"))], [ResourceKey("upstream", "v")], 1, 2, b"d" * 32)
    assert after.host("a.example") is plans[0]
    assert after.host("b.example") is not plans[1]
    assert after.upstream("u") is kept
    assert after.upstream("v") is None
    assert table.upstream("v") is not None
    assert (after.version, after.digest, after.count("upstream")) == (2, b"d" * 32, 1)
    assert after.next([record_of("global", Settings(hsts=False))], [], 1, 3, b"").host("a.example") is not plans[0]


def test_the_security_line() -> None:
    assert security_line(Settings()) == b"Strict-Transport-Security: max-age=31536000; includeSubDomains\r\n"
    bare = Settings(hsts_max_age=5, hsts_include_subdomains=False, hsts_preload=True)
    assert security_line(bare) == b"Strict-Transport-Security: max-age=5; preload\r\n"
    assert security_line(Settings(hsts=False)) == b""
