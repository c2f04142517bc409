"""What commands tell people: status, events, the demo's timeline and its requests."""

from __future__ import annotations

import io

import msgspec
import pytest
from click.testing import CliRunner
from rich.console import Console

from proto.diagnostics import Diagnostic
from proto.events import (
    CertificateExpiring,
    EdgeApplied,
    EdgeLeft,
    IngressAccepted,
    IngressRejected,
    RouteAdded,
    SnapshotPublished,
    UpstreamChanged,
    cloud_event,
)
from proto.objects import ObjectKey
from proto.reports import EdgeReport, HeldRemoval, RoleStatus, SourceStatus, to_json
from services.cli.demo_calls import CALLS, Answer, complaint, curl_words, shown
from services.cli.demo_timeline import Timeline, told
from services.cli.demo_troubles import AT_MOST, Looks
from services.cli.event_lines import read
from services.cli.events import command as events_command
from services.cli.events import subject_of
from services.cli.overview import Overview, overview
from services.cli.status_tables import tables
from services.runtime.settings import HostPort

FINDING = Diagnostic(
    ObjectKey("ingress", "shop", "web"), "annotation-invalid", "error", "metadata.annotations[x]", "y", "bad", "mend it"
)


def _role(role: str, name: str, **more: object) -> RoleStatus:
    values = {"software": "1", "started_at": 1.0, "ready": True, "connected": True} | more
    return RoleStatus(role=role, name=name, **values)  # type: ignore[arg-type]


def _report(edge: str, version: int, worker: int = 0, **more: object) -> EdgeReport:
    return EdgeReport(edge=edge, worker=worker, epoch=1, version=version, ready=True, **more)  # type: ignore[arg-type]


def _roles() -> list[RoleStatus]:
    return [
        _role("watcher", "w", sources=(SourceStatus(kind="ingress", synced=True, objects=3),)),
        _role("compiler", "standby", active=False, epoch=1, version=9),
        _role(
            "compiler",
            "c",
            epoch=1,
            version=9,
            digest="ab" * 32,
            diagnostics=(FINDING,),
            edges=(_report("e1", 3), _report("gone", 4)),
            held=HeldRemoval(since=1.0, routes_now=100, routes_after=3, objects=("ingress shop/web",)),
        ),
        _role("edge", "e1", epoch=1, version=9, edges=(_report("e1", 9),)),
        _role("edge", "e2", edges=(_report("e2", 9), _report("e2", 8, worker=1, error="bad signature"))),
    ]


def test_an_edge_is_live_when_all_its_workers_are() -> None:
    found = overview(_roles())
    assert (found.epoch, found.version, found.live) == (1, 9, 1)
    assert [(edge.name, edge.version, edge.live, edge.answers) for edge in found.edges] == [
        ("e1", 9, True, True),
        ("e2", 8, False, True),
        ("gone", 4, False, False),
    ]
    assert found.edges[1].error == "bad signature"
    assert found.diagnostics == (FINDING,)
    assert found.sources[0].objects == 3


def test_nobody_answers() -> None:
    found = overview([])
    assert (found.version, found.edges) == (0, ())


def test_edges_alone_still_tell_their_version() -> None:
    found = overview([_role("edge", "e1", epoch=2, version=5, edges=(_report("e1", 5),))])
    assert (found.epoch, found.version) == (2, 5)


def test_status_tables_hold_what_matters() -> None:
    out = io.StringIO()
    console = Console(file=out, width=160)
    for part in tables(overview(_roles())):
        console.print(part)
    text = out.getvalue()
    for expected in ("version 1.9", "live on 1/3 edges", "HELD", "limen approve", "standby", "silent", "bad signature"):
        assert expected in text, text
    assert " error annotation-invalid  ingress shop/web  metadata.annotations[x] = 'y'" in text
    assert "\n   bad → mend it\n" in text
    assert "diagnostics: 1 error\n" in text


def test_few_notices_are_named_and_many_counted() -> None:
    def shown_for(number: int) -> str:
        out = io.StringIO()
        for part in tables(overview([_role("compiler", "c", diagnostics=tuple(map(_notice, range(number))))])):
            Console(file=out, width=160).print(part)
        return out.getvalue()

    assert "class-not-found  ingress shop/n2" in shown_for(3)
    assert " 4 × class-not-found (--json names them)" in shown_for(4)
    assert "diagnostics: 4 notices" in shown_for(4)
    assert "and more" not in shown_for(4)
    assert "… and more: a process names its first 1000 only" in shown_for(1000)


def test_a_role_of_which_nobody_answers_is_named() -> None:
    def shown_for(*roles: RoleStatus) -> str:
        out = io.StringIO()
        for part in tables(overview(list(roles))):
            Console(file=out, width=160).print(part)
        return out.getvalue()

    edge, watcher, compiler = _role("edge", "e"), _role("watcher", "w"), _role("compiler", "c")
    assert "no compiler answers: changes of objects are not compiled\n" in shown_for(edge, watcher)
    assert "no watcher answers: changes of objects are not seen\n" in shown_for(edge, compiler)
    assert "answers:" not in shown_for(edge, watcher, compiler)


def test_errors_are_named_before_warnings() -> None:
    found = (msgspec.structs.replace(FINDING, code="path-conflict", severity="warning"), FINDING)
    out = io.StringIO()
    for part in tables(Overview(diagnostics=found)):
        Console(file=out, width=160).print(part)
    lines = [line.split("  ")[0] for line in out.getvalue().splitlines() if "ingress shop/web" in line]
    assert lines == [" error annotation-invalid", " warning path-conflict"]


def test_an_error_of_a_source_is_said_once() -> None:
    out = io.StringIO()
    watcher = _role("watcher", "w", sources=(SourceStatus(kind="ingress", error="gone"),), last_error="ingress: gone")
    for part in tables(overview([watcher])):
        Console(file=out, width=160).print(part)
    assert out.getvalue().count("gone") == 1


def _notice(number: int) -> Diagnostic:
    return Diagnostic(ObjectKey("ingress", "shop", f"n{number}"), "class-not-found", "notice", "", "", "passed over")


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (IngressAccepted(namespace="a", name="b", hosts=("x", "y")), "a/b serves x, y"),
        (
            IngressRejected(namespace="shop", name="web", keeps_last_good=True, diagnostics=(FINDING,)),
            "shop/web annotation-invalid: bad (its last good version is served on)",
        ),
        (
            RouteAdded(host="", path="/x", match="prefix", ingress="a/b", upstream="a-s-80", version=1, epoch=1),
            "*/x (prefix) → a-s-80  a/b",
        ),
        (
            UpstreamChanged(
                upstream="a/s:80", added=("1.1.1.1:1",), removed=("2.2.2.2:2",), total=4, version=1, epoch=1
            ),
            "a/s:80 +1.1.1.1:1 -2.2.2.2:2 (4 now)",
        ),
        (
            CertificateExpiring(certificate="a/c", names=("x",), not_after=1, days_left=3),
            "a/c for x ends in 3 days",
        ),
        (
            EdgeApplied(edge="e", worker=1, epoch=1, version=2, live_seconds=0.0042),
            "e worker 1 serves 1.2, 4.2 ms after the change was seen",
        ),
        (EdgeLeft(edge="e", worker=1, reason="lost"), "e worker 1 lost"),
    ],
)
def test_events_as_lines(data: object, text: str) -> None:
    event = cloud_event(data, id_="1", source="/limen/x", time="2026-01-02T03:04:05.678901Z")  # type: ignore[arg-type]
    line = read(to_json(event))
    assert (line.time, line.type, line.text, line.data) == ("03:04:05.678", data.type, text, data)  # type: ignore[attr-defined]


def test_what_is_no_event_is_said() -> None:
    for message in (
        b"",
        b"{}",
        b'{"id":"1","source":"s","type":"io.limen.edge.left","subject":"","time":"","data":{}}',
    ):
        with pytest.raises(ValueError, match=r"event|edge\.left"):
            read(message)


@pytest.mark.parametrize(
    ("given", "subject"),
    [
        (">", "blue.events.>"),
        ("route.>", "blue.events.route.>"),
        ("ingress.rejected", "blue.events.ingress.rejected.>"),
        ("*.*.shop", "blue.events.*.*.shop.>"),
        ("route.added.shop.x", "blue.events.route.added.shop.x"),
        ("blue.events.route.>", "blue.events.route.>"),
    ],
)
def test_event_filters(given: str, subject: str) -> None:
    assert subject_of("blue.events.>", given) == subject


@pytest.mark.parametrize("given", ["foo bar", "", "a..b", ">.x"])
def test_an_event_filter_that_can_match_nothing_is_said(given: str) -> None:
    result = CliRunner().invoke(events_command, [given])
    assert result.exit_code == 2
    assert f"FILTER {given!r}" in result.output


def _published(version: int, *objects: str) -> SnapshotPublished:
    return SnapshotPublished(
        epoch=1, from_version=version - 1, to_version=version, digest="", cause="change", objects=objects
    )


def test_the_timeline_waits_for_all_edges() -> None:
    timeline = Timeline(2)
    assert timeline.add(_published(5, "ingress a/b"), 0.0) == []
    assert timeline.add(EdgeApplied(edge="e1", worker=0, epoch=1, version=5, live_seconds=0.002), 0.0) == []
    lines = timeline.add(EdgeApplied(edge="e2", worker=0, epoch=1, version=5, live_seconds=0.0041), 0.0)
    assert [line.text for line in lines] == ["ingress a/b → snapshot 1.5 → live on 2/2 edges in 4.1 ms"]


def test_the_timeline_takes_events_in_any_order_and_versions_that_were_skipped() -> None:
    timeline = Timeline(1)
    assert timeline.add(EdgeApplied(edge="e1", worker=0, epoch=1, version=6), 0.0) == []
    assert len(timeline.add(_published(5, "a", "b", "c"), 0.0)) == 1
    assert timeline.add(_published(6), 0.0)[0].text == "change → snapshot 1.6 → live on 1/1 edges"


def test_the_timeline_tells_what_does_not_get_live() -> None:
    timeline = Timeline(2)
    timeline.add(_published(5, "ingress a/b"), 0.0)
    timeline.add(EdgeApplied(edge="e1", worker=0, epoch=1, version=5), 0.0)
    assert timeline.tick(2.0) == []
    (line,) = timeline.tick(4.0)
    assert (line.good, "live on 1/2" in line.text) == (False, True)
    assert timeline.tick(9.0) == []


def test_the_timeline_tells_a_rejection() -> None:
    rejected = IngressRejected(namespace="shop", name="web", keeps_last_good=True, diagnostics=(FINDING,))
    (line,) = Timeline(2).add(rejected, 0.0)
    assert (line.text, line.good) == ("ingress shop/web is rejected: its last good version is served on", False)
    (line,) = Timeline(2).add(IngressRejected(namespace="shop", name="web"), 0.0)
    assert line.text == "ingress shop/web is rejected: it is not served"


def _texts(looks: Looks, found: Overview) -> list[tuple[str, bool | None]]:
    return [(line.text, line.good) for line in told(looks.look(found))]


def test_diagnostics_are_told_as_they_come_and_go() -> None:
    looks, head = Looks(), "error: annotation-invalid  ingress shop/web  metadata.annotations[x] = 'y'"
    assert _texts(looks, Overview(diagnostics=(_notice(1),))) == []
    assert _texts(looks, Overview(diagnostics=(_notice(1), _notice(2), FINDING))) == [
        (head, False),
        ("  bad → mend it", False),
        ("notice: class-not-found  ingress shop/n2", None),
        ("  passed over", None),
    ]
    assert _texts(looks, Overview(diagnostics=(_notice(1), FINDING))) == []
    assert _texts(looks, Overview()) == [(f"no longer: {head}", True)]


def test_a_diagnostic_that_moved_is_told_as_new_only() -> None:
    looks = Looks()
    assert _texts(looks, Overview(diagnostics=(FINDING,)))[0][1] is False
    moved = msgspec.structs.replace(FINDING, field="metadata.annotations[z]")
    assert [text for text, _ in _texts(looks, Overview(diagnostics=(moved,)))] == [
        "error: annotation-invalid  ingress shop/web  metadata.annotations[z] = 'y'",
        "  bad → mend it",
    ]


def test_sources_and_held_removals_are_troubles_and_many_are_cut() -> None:
    looks = Looks()
    sources = tuple(SourceStatus(kind=kind, error="/m is gone") for kind in ("ingress", "service"))
    held = HeldRemoval(since=1.0, routes_now=100, routes_after=3)
    texts = [text for text, _ in _texts(looks, Overview(sources=sources, held=held))]
    assert texts[1].startswith("  it would leave 3 of 100 routes; ")
    assert texts[2:] == ["source: /m is gone", "  what was read before stays (ingress, service)"]
    many = tuple(map(_notice, range(AT_MOST + 5)))
    assert _texts(looks, Overview(diagnostics=many))[-1] == ("and 5 more changes: see `limen status`", None)


def test_printed_requests_are_the_ones_that_are_made() -> None:
    lines = [shown(curl_words(call, HostPort("0.0.0.0", 80), HostPort("", 443))) for call in CALLS]
    assert lines[0] == "curl -i -H 'Host: coffee.localhost' http://127.0.0.1:80/"
    assert "curl -i -k --resolve shop.localhost:443:127.0.0.1 https://shop.localhost:443/" in lines
    assert complaint(CALLS[0], Answer(200, "coffee at 127.0.0.1")) == ""
    assert "status 0" in complaint(CALLS[0], Answer(0, "refused"))
    assert "is not in" in complaint(CALLS[0], Answer(200, "tea"))
