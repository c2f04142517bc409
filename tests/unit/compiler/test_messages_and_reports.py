"""Messages from outside, reports of edges, findings in pieces, and the hint that a run leaves to the next."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from proto.codec import encode
from proto.objects import (
    Ingress,
    IngressBackend,
    IngressPath,
    IngressRule,
    IngressTLS,
    ObjectEnvelope,
    ObjectKey,
    Secret,
    TLSMaterial,
    key_of,
)
from proto.reports import EdgeReport, to_json
from proto.signing import ObjectAuthenticator, Signer, Verifier
from proto.snapshots import SCHEMA, BaseRef, Cause, Delta, Position, SignedDelta
from proto.subjects import Subjects
from services.compiler.admission import MAX_OBJECT, Doorkeeper
from services.compiler.core.compiler import Compiler
from services.compiler.core.options import CompileOptions
from services.compiler.edges import MAX_REPORT, SILENT_AFTER, Edges, ReportError, read_report
from services.compiler.findings import MAX_SERVED, MAX_TOLD, FindingsBook
from services.compiler.log import Log
from services.compiler.signed import RefusedError, open_entry, sign
from services.compiler.statefile import StateFile
from services.runtime.bus import Bus, BusOptions

SUBJECTS = Subjects("limen")
AUTHENTICATOR = ObjectAuthenticator([("00", bytes(32))])
DOOR = Doorkeeper(SUBJECTS, AUTHENTICATOR)
SIGNER = Signer("key", bytes(32))
VERIFIER = Verifier("limen", [("key", SIGNER.public())])


def sealed(body: bytes, purpose: str = "object", schema: int = SCHEMA) -> bytes:
    return encode((schema, body, AUTHENTICATOR.mac(purpose, body)))


def ingress(name: str = "app", path: str = "/") -> Ingress:
    backend = IngressBackend(service="web", port_number=80)
    rule = IngressRule(host=f"{name}.example.com", paths=(IngressPath(path, "Prefix", backend),), has_http=True)
    return Ingress(namespace="default", name=name, annotations={"kubernetes.io/ingress.class": "nginx"}, rules=(rule,))


def envelope(body: bytes, instance: str = "limen") -> bytes:
    return encode(ObjectEnvelope(instance, key_of(ingress()), "s", 1, 0.0, "", "", body))


SUBJECT = SUBJECTS.object(key_of(ingress()))


class TestDoorkeeper:
    def test_a_genuine_object(self) -> None:
        admitted = DOOR.object(SUBJECT, sealed(envelope(encode(ingress()))))
        assert admitted.value == ingress()
        assert DOOR.object(SUBJECT, sealed(envelope(b""))).value is None

    @pytest.mark.parametrize(
        ("reason", "data"),
        [
            ("malformed", b""),
            ("malformed", b"\x93\x01"),
            ("oversized", bytes(MAX_OBJECT + 1)),
            ("schema", sealed(envelope(b""), schema=SCHEMA + 1)),
            ("forged", encode((SCHEMA, envelope(b""), bytes(16)))),
            ("forged", sealed(envelope(b""), purpose="beacon")),
            ("instance", sealed(envelope(b"", "other"))),
            ("malformed", sealed(b"\xc1")),
        ],
    )
    def test_what_is_refused(self, reason: str, data: bytes) -> None:
        with pytest.raises(RefusedError) as refused:
            DOOR.object(SUBJECT, data)
        assert refused.value.reason == reason
        assert SUBJECT in str(refused.value)

    def test_a_message_in_anothers_place(self) -> None:
        with pytest.raises(RefusedError) as refused:
            DOOR.object(SUBJECTS.object(ObjectKey("ingress", "default", "other")), sealed(envelope(b"")))
        assert refused.value.reason == "misplaced"

    @pytest.mark.parametrize("body", [b"\xc1", encode({"kind": "gateway"}), encode(ingress("other"))])
    def test_an_authentic_object_that_cannot_be_understood(self, body: bytes) -> None:
        admitted = DOOR.object(SUBJECT, sealed(envelope(body)))
        assert admitted.value is None
        assert admitted.unreadable

    def test_accepted_there_and_back(self) -> None:
        data = DOOR.seal_accepted(ingress())
        assert DOOR.accepted(SUBJECTS.accepted("default", "app"), data) == ingress()
        for subject, message in ((SUBJECTS.accepted("default", "other"), data), (SUBJECT, sealed(envelope(b"")))):
            with pytest.raises(RefusedError):
                DOOR.accepted(subject, message)


def delta(version: int = 2) -> Delta:
    return Delta(SCHEMA, "limen", 1, version, bytes(32), BaseRef(1, 1, 1, 1, b"", b""), Cause("change"), 0.0)


class TestEntries:
    def test_there_and_back(self) -> None:
        proof, data = sign(delta(), SIGNER)
        entry = open_entry(data, VERIFIER, 9)
        assert (entry.proof, entry.position, entry.sequence) == (proof, Position(1, 2), 9)

    @pytest.mark.parametrize("reason", ["oversized", "malformed", "schema", "signature", "mismatch"])
    def test_what_is_refused(self, reason: str) -> None:
        proof, data = sign(delta(), SIGNER)
        body = encode(delta(3))
        bad = {
            "oversized": bytes(700_000),
            "malformed": data[:50],
            "schema": encode(SignedDelta(SCHEMA + 1, proof, encode(delta()))),
            "signature": encode(SignedDelta(SCHEMA, proof, body)),
            "mismatch": encode(SignedDelta(SCHEMA, SIGNER.prove("limen", 1, 9, bytes(32), body), body)),
        }
        with pytest.raises(RefusedError) as refused:
            open_entry(bad[reason], VERIFIER)
        assert refused.value.reason == reason
        assert refused.value.trusted == (reason == "mismatch"), "the envelope's schema is not signed"

    def test_a_strangers_number_is_no_newer_compiler(self) -> None:
        for data in (encode((SCHEMA + 98, b"", b"")), encode((SCHEMA + 98, {"anything": "else"}))):
            with pytest.raises(RefusedError) as refused:
                open_entry(data, VERIFIER)
            assert not refused.value.trusted

    @pytest.mark.parametrize(
        ("changed", "reason"),
        [({"schema": SCHEMA + 1}, "schema"), ({"base": BaseRef(2, 1, 1, 1, b"", b"")}, "mismatch")],
        ids=["newer", "base"],
    )
    def test_what_edges_refuse_of_a_compiler_a_standby_refuses_too(
        self, changed: dict[str, object], reason: str
    ) -> None:
        _, data = sign(replace(delta(), **changed), SIGNER)
        with pytest.raises(RefusedError) as refused:
            open_entry(data, VERIFIER)
        assert (refused.value.reason, refused.value.trusted) == (reason, True)


class TestEdges:
    def report(self, worker: int = 0, version: int = 1, **more: object) -> EdgeReport:
        return EdgeReport(edge="e", worker=worker, epoch=1, version=version, digest="00" * 32, ready=True, **more)  # type: ignore[arg-type]

    def test_live_counts_those_on_exactly_this_version(self) -> None:
        edges = Edges()
        edges.note("a", self.report(0), 0.0)
        edges.note("b", self.report(1, version=2), 0.0)
        edges.note("c", EdgeReport(edge="e", worker=2), 0.0)
        assert edges.live(1, 1, bytes(32)) == 1
        assert len(edges) == 3
        assert [report.worker for report in edges.reports()] == [0, 1, 2]

    def test_the_silent_are_named_once(self) -> None:
        edges = Edges()
        edges.note("a", self.report(0), 0.0)
        edges.note("b", self.report(1), 30.0)
        assert edges.silent(SILENT_AFTER) == []
        assert [report.worker for report in edges.silent(SILENT_AFTER + 1)] == [0]
        assert edges.silent(SILENT_AFTER + 2) == []
        edges.note("b", None, 40.0)
        assert edges.silent(1000.0) == []

    def test_a_proof_is_new_once(self) -> None:
        edges, proof = Edges(), SIGNER.prove("limen", 1, 1, bytes(32), b"")
        assert edges.note("a", self.report(proof=proof), 0.0) == proof
        assert edges.note("a", self.report(proof=proof), 1.0) is None

    def test_reports_are_read_with_limits(self) -> None:
        assert read_report("a", to_json(self.report())) == self.report()
        assert read_report("a", b"") is None
        for data in (b"{", b"[]", b'{"edge": 1}', b" " * (MAX_REPORT + 1)):
            with pytest.raises(ReportError):
                read_report("a", data)

    @pytest.mark.parametrize("number", [2**64, -(2**63) - 1, 10**30])
    def test_a_proof_with_numbers_that_no_compiler_writes_proves_nothing(self, number: int) -> None:
        proof = replace(open_entry(sign(delta(), SIGNER)[1], VERIFIER).proof, epoch=number)
        report = read_report("s", to_json(EdgeReport(edge="e", worker=0, proof=proof)))
        assert report is not None
        assert report.proof == proof
        log = Log(
            Bus(BusOptions(servers=("nats://127.0.0.1:1",), name="test")), SUBJECTS, SIGNER, VERIFIER, lambda _: None
        )
        assert log.proven(proof) is None

    def test_who_refuses_is_counted(self) -> None:
        edges = Edges()
        edges.note("a", self.report(error="digest"), 0.0)
        assert edges.refusing() == 1


class TestStateFile:
    def test_it_is_remembered_and_never_goes_back(self, tmp_path: Path) -> None:
        file = StateFile(tmp_path / "new", "limen")
        assert file.read() == Position()
        file.write(Position(2, 7))
        file.write(Position(1, 9))
        assert StateFile(tmp_path / "new", "limen").read() == Position(2, 7)
        assert StateFile(tmp_path / "new", "other").read() == Position()

    def test_damage_is_passed_over(self, tmp_path: Path) -> None:
        (tmp_path / "compiler.json").write_text("{")
        assert StateFile(tmp_path, "limen").read() == Position()

    def test_a_folder_that_cannot_be_written_stops_nothing(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        StateFile(tmp_path / "file", "limen").write(Position(1, 1))


class TestFindings:
    def book(self, *ingresses: Ingress) -> FindingsBook:
        self.compiler = Compiler(CompileOptions())
        self.findings = FindingsBook(self.compiler, lambda key: "7")
        self.change(*ingresses)
        return self.findings

    def change(self, *ingresses: Ingress) -> None:
        for value in ingresses:
            self.compiler.change(key_of(value), value)
        self.findings.add(self.compiler.compile())

    def test_news_is_told_once(self) -> None:
        book = self.book(ingress(), ingress("bad", "no-slash"))
        news = book.take(lambda _: False)
        assert news is not None
        assert news.findings[0].served == ("default/app",)
        assert {event.type for event in news.events} == {"ingress.accepted", "ingress.rejected"}
        assert [value.name for value in news.accepted] == ["app"]
        assert book.take(lambda _: False) is None

    def test_what_was_accepted_before_a_restart_is_no_news(self) -> None:
        news = self.book(ingress()).take(lambda _: True)
        assert news is not None
        assert news.events == ()

    def test_a_rejection_is_told_once_for_each_version(self) -> None:
        book = self.book(ingress("bad", "no-slash"))
        assert book.take(lambda _: False) is not None
        self.compiler.set_accepted(ingress("bad"))  # looked at again
        self.findings.add(self.compiler.compile())
        news = book.take(lambda _: False)
        assert news is None or not news.events
        self.change(ingress("bad", "still-none"))
        news = book.take(lambda _: False)
        assert news is not None
        assert [event.keeps_last_good for event in news.events if event.type == "ingress.rejected"] == [True]  # type: ignore[union-attr]

    def test_a_rejected_one_that_went_is_told_again_when_it_comes_back(self) -> None:
        bad = ingress("bad", "no-slash")
        book = self.book(bad)
        assert book.take(lambda _: False) is not None
        self.compiler.change(key_of(bad), None)
        book.add(self.compiler.compile())
        book.take(lambda _: False)
        self.change(bad)
        news = book.take(lambda _: False)
        assert news is not None
        assert [event.type for event in news.events] == ["ingress.rejected"]

    def test_a_removed_one_is_gone(self) -> None:
        book = self.book(ingress())
        book.take(lambda _: False)
        self.compiler.change(key_of(ingress()), None)
        book.add(self.compiler.compile())
        news = book.take(lambda _: False)
        assert news is not None
        assert news.findings[0].gone == ("default/app",)
        assert news.forgotten == (("default", "app"),)

    def test_everything_comes_in_pieces(self) -> None:
        book = self.book(*(ingress(f"app-{number}") for number in range(MAX_SERVED + 10)))
        pieces = book.complete()
        assert [piece.complete for piece in pieces[:2]] == [True, False]
        assert sum(len(piece.served) for piece in pieces) == MAX_SERVED + 10

    def test_long_findings_come_in_pieces_that_the_bus_takes(self) -> None:
        names = tuple(f"{'n' * 200}-{number}.test" for number in range(90))
        tls = TLSMaterial((b"der",), names, 0, 1, "f", b"sealed")
        listed = tuple(IngressTLS((f"app-{number}.example.com",), "cert") for number in range(600))
        book = self.book()
        self.compiler.change(ObjectKey("secret", "default", "cert"), Secret("default", "cert", tls=tls))
        self.change(*(replace(ingress(f"app-{number}"), tls=(entry,)) for number, entry in enumerate(listed)))
        pieces = book.complete()
        assert max(len(to_json(piece)) for piece in pieces) < 1024 * 1024
        told = [(found.object.name, found.code) for piece in pieces for found in piece.diagnostics]
        assert len(told) == len(set(told)) == 600 * 2

    def test_an_event_names_the_first_findings_of_many(self) -> None:
        backend = IngressBackend(service="none", port_number=80)
        paths = tuple(IngressPath(f"/{number}", "Prefix", backend) for number in range(5000))
        many = replace(ingress(), rules=(IngressRule(host="app.example.com", paths=paths, has_http=True),))
        news = self.book(many).take(lambda _: False)
        assert news is not None
        (event,) = news.events
        assert len(to_json(event)) < 1024 * 1024
        assert len(news.findings[0].diagnostics) > len(event.diagnostics) == MAX_TOLD  # type: ignore[union-attr]
