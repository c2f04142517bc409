"""How far each kind has got, and what follows from a list that lacks things."""

from __future__ import annotations

import pytest

from proto.codec import decode, encode
from proto.diagnostics import Diagnostic
from proto.objects import (
    OBJECT_KINDS,
    Ingress,
    IngressClass,
    IngressTLS,
    Kind,
    ObjectEnvelope,
    ObjectKey,
    Secret,
    Service,
    Source,
    TLSMaterial,
)
from proto.signing import ObjectAuthenticator
from services.watcher.hub import Hub
from services.watcher.inventory import Inventory
from services.watcher.observed import Change, RawSecret, Value
from services.watcher.outbox import Held, Outbox
from services.watcher.sources.folder.documents import key_of_value

KEYS = ObjectAuthenticator([("k", bytes(32))])


class Rules:
    ingress_class = "nginx"
    controller_class = "c"
    ingress_class_by_name = False
    watch_ingress_without_class = False


class Bench:
    """A hub on a stream that is a list."""

    def __init__(self, name: str = "kubernetes", held: list[Held] | None = None) -> None:
        self.held = held or []
        self.looks: list[frozenset[Kind]] = []
        self.beacons = 0
        self.outbox = Outbox("limen", KEYS)
        inventory = Inventory(
            lambda raw, previous: Secret(raw.namespace, raw.name, tls=previous, problem="bad"),
            classes=Rules(),
            pinned=frozenset(),
            controller_map=None,
            by_namespace=False,
        )
        self.hub = Hub(
            name,  # type: ignore[arg-type]
            inventory,
            self.outbox,
            send=lambda: None,
            announce=self._announce,
            look_again=self.looks.append,
            watched=lambda change: None,
        )
        self.outbox.adopt(self.held, len(self.held), 0.0)
        self.hub.adopted()

    def _announce(self) -> None:
        self.beacons += 1

    def put(self, *values: Value) -> None:
        self.hub.changed([Change(key_of_value(value), value, 1.0) for value in values])

    def list_all(self, *without: Kind) -> None:
        for kind in OBJECT_KINDS:
            if kind not in without:
                self.hub.listed(kind)

    def send(self) -> list[tuple[str, bool, bool]]:
        """What is sent now: key, whether it is there, whether its removal was inferred."""
        sent = []
        while batch := self.outbox.take(100, 0.0):
            for outgoing in batch:
                _, body, _ = decode(outgoing.data, tuple[int, bytes, bytes])
                envelope = decode(body, ObjectEnvelope)
                self.held.append(Held(len(self.held) + 1, outgoing.data))
                self.outbox.stored(outgoing, len(self.held))
                sent.append((str(envelope.key), bool(envelope.object), envelope.relisted))
        return sent

    def source(self) -> Source:
        (found,) = [decode(data, Source) for data in self.outbox.on_bus("source")]
        return found


def removed(*names: str, kind: Kind = "ingress", relisted: bool = True) -> list[Change]:
    return [Change(ObjectKey(kind, "n", name), None, 1.0, relisted=relisted) for name in names]


def test_the_source_is_synced_when_every_kind_is() -> None:
    bench = Bench()
    bench.list_all("secret")
    bench.send()
    assert not bench.source().synced
    assert not bench.hub.complete
    bench.hub.listed("secret")
    bench.send()
    assert bench.source().synced
    assert bench.hub.complete
    assert bench.hub.listed_all


def test_trouble_is_said_once_and_ends() -> None:
    bench = Bench()
    bench.list_all()
    bench.hub.trouble("secret", "403 forbidden")
    bench.hub.trouble("secret", "403 forbidden")
    assert [key for key, _, _ in bench.send()] == ["source kubernetes"]
    assert {state.kind: state.error for state in bench.source().kinds}["secret"] == "403 forbidden"
    bench.hub.trouble("secret", "")
    bench.send()
    assert bench.source().kinds[0].error == ""
    assert bench.source().synced


def test_trouble_of_all_kinds_is_one_line_that_names_none(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench("folder")
    bench.list_all()
    with caplog.at_level("INFO"):
        for error in ("/x does not exist", "/x is gone", ""):
            for kind in OBJECT_KINDS:
                bench.hub.trouble(kind, error)
    assert caplog.messages == ["folder: /x does not exist", "folder: /x is gone", "folder: works again"]


def test_what_was_wrong_with_a_file_and_is_not_any_more_is_said(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench("folder")
    wrong = Diagnostic(ObjectKey("source", "", "folder"), "manifest-invalid", "warning", "a.yaml line 1", "", "bad", "")
    passed_over = Diagnostic(
        ObjectKey("source", "", "folder"), "manifest-passed-over", "notice", "a.yaml", "", "Job", ""
    )
    with caplog.at_level("INFO"):
        for found in ((passed_over,), (wrong, passed_over), (wrong,), (passed_over,), ()):
            bench.hub.diagnosed("a.yaml", found)
    assert caplog.messages == [
        "a.yaml: Job",
        "a.yaml line 1: bad",
        "a.yaml: nothing is wrong any more",
        "a.yaml: Job",
    ]


def test_trouble_of_a_cluster_names_the_kind(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()
    bench.list_all()
    with caplog.at_level("INFO"):
        bench.hub.trouble("secret", "403 forbidden")
    assert caplog.messages == ["kubernetes: secret: 403 forbidden"]


def test_a_watcher_that_starts_keeps_what_the_bus_knows_to_be_listed() -> None:
    before = Bench()
    before.put(Ingress("n", "web"))
    before.list_all()
    before.send()
    after = Bench(held=before.held)
    assert after.send() == []  # nothing is taken back before anything was listed
    assert after.hub.complete
    assert not after.hub.listed_all
    after.hub.trouble("secret", "403 forbidden")  # the others go on, and Secrets stay as they were
    after.put(Ingress("n", "web"))
    after.list_all("secret")
    assert [key for key, _, _ in after.send()] == ["source kubernetes"]
    assert after.source().synced


def test_secrets_are_taken_back_only_when_all_that_refers_to_them_is_known() -> None:
    before = Bench()
    pair = TLSMaterial((b"d",), ("a",), 0, 1, "f", b"s")
    before.put(IngressClass("nginx", "c"), Ingress("n", "web", class_name="nginx", tls=(IngressTLS((), "t"),)))
    before.put(RawSecret("n", "t", "", {}))
    before.list_all()
    before.send()
    stored = Secret("n", "t", tls=pair)
    before.outbox.want(ObjectKey("secret", "n", "t"), stored, 0.0)
    before.send()
    after = Bench(held=before.held)
    after.put(RawSecret("n", "t", "", {}))
    after.hub.listed("secret")
    assert after.send() == []
    after.put(Ingress("n", "web", class_name="nginx", tls=(IngressTLS((), "t"),)))
    after.hub.listed("ingress")
    assert after.send() == []
    after.put(IngressClass("nginx", "c"))
    after.list_all("secret", "ingress")
    after.outbox.adopt(after.held, len(after.held), 0.0)
    after.hub.adopted()
    after.send()
    (found,) = [decode(data, Secret) for data in after.outbox.on_bus("secret")]
    assert (found.tls, found.problem) == (pair, "bad")


def test_a_list_that_lacks_ingresses_is_made_twice() -> None:
    bench = Bench()
    bench.put(*(Ingress("n", f"i{number}") for number in range(3)))
    bench.list_all()
    bench.send()
    beacons = bench.beacons
    bench.hub.changed(removed("i0"))
    assert bench.looks == [frozenset({"ingress"})]
    assert bench.beacons > beacons
    assert bench.send() == [("ingress n/i0", False, True)]


def test_removals_that_a_watch_told_are_believed() -> None:
    bench = Bench()
    bench.put(*(Ingress("n", f"i{number}") for number in range(30)))
    bench.hub.changed(removed(*(f"i{number}" for number in range(30)), relisted=False))
    assert bench.looks == []


def test_other_kinds_are_looked_at_twice_when_most_of_them_are_missing() -> None:
    bench = Bench()
    bench.put(*(Service("n", f"s{number}") for number in range(30)))
    bench.hub.changed(removed(*(f"s{number}" for number in range(5)), kind="service"))
    assert bench.looks == []
    bench.hub.changed(removed(*(f"s{number}" for number in range(5, 25)), kind="service"))
    assert bench.looks == [frozenset({"service"})]


def test_a_start_that_finds_less_than_the_bus_holds_looks_twice() -> None:
    before = Bench()
    before.put(*(Ingress("n", f"i{number}") for number in range(20)))
    before.list_all()
    before.send()
    after = Bench(held=before.held)
    after.list_all()
    assert after.looks[0] == frozenset({"ingress"})
    assert sum(not there for _, there, _ in after.send()) == 20


def test_a_source_of_another_kind_that_was_there_before_goes() -> None:
    before = Bench("folder")
    before.list_all()
    before.send()
    after = Bench("kubernetes", held=before.held)
    after.list_all()
    assert ("source folder", False, True) in after.send()


def test_an_object_that_is_too_large_is_named_until_it_shrinks() -> None:
    bench = Bench()
    bench.put(Ingress("n", "web", annotations={"a": "x" * 2_000_000}))
    (found,) = bench.hub.diagnostics()
    assert (found.code, found.object.name) == ("object-too-large", "web")
    bench.put(Ingress("n", "web"))
    assert bench.hub.diagnostics() == ()
    assert next(iter(bench.send())) == ("ingress n/web", True, False)
    assert list(bench.outbox.on_bus("ingress")) == [encode(Ingress("n", "web"))]


def test_a_change_counts_no_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    bench.list_all()
    monkeypatch.setattr(Inventory, "counts", lambda self: pytest.fail("tens of thousands are counted for one change"))
    bench.put(Service("n", "s"))
    assert ("service n/s", True, False) in bench.send()
