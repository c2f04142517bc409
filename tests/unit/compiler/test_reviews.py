"""AdmissionReviews: bytes in, bytes out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from proto.objects import Ingress
from services.compiler.core.review import Reviewed
from services.compiler.reviews import UnreadableReviewError, answer
from tests.support.manifests import ingress

KIND = {"group": "networking.k8s.io", "version": "v1", "kind": "Ingress"}


def body(manifest: Any = None, **request: Any) -> bytes:
    asked = {"uid": "u-1", "kind": KIND, "name": "web", "namespace": "shop", "operation": "CREATE", "object": manifest}
    review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": asked | request}
    return json.dumps(review).encode()


def refuse(_: Ingress) -> Reviewed:
    return Reviewed("no", ("mind this",))


def response(data: bytes) -> dict[str, Any]:
    told = json.loads(answer(data, refuse)[0])
    assert (told["apiVersion"], told["kind"]) == ("admission.k8s.io/v1", "AdmissionReview")
    assert told["response"]["uid"] == "u-1"
    found: dict[str, Any] = told["response"]
    return found


def test_a_refusal_has_ingress_nginx_code() -> None:
    assert response(body(ingress("web", "shop", "web.example"))) == {
        "uid": "u-1",
        "allowed": False,
        "status": {"status": "Failure", "code": 400, "message": "no"},
        "warnings": ["mind this"],
    }


def test_the_object_is_read_as_the_watcher_reads_it() -> None:
    seen: list[Ingress] = []

    def note(found: Ingress) -> Reviewed:
        seen.append(found)
        return Reviewed()

    told, allowed = answer(body(ingress("web", "shop", "web.example", annotations={"a": "b"})), note)
    assert allowed
    assert json.loads(told)["response"] == {"uid": "u-1", "allowed": True}
    (found,) = seen
    assert (found.namespace, found.name, found.class_name) == ("shop", "web", "nginx")
    assert (found.rules[0].host, found.annotations) == ("web.example", {"a": "b"})


@pytest.mark.parametrize(
    "passing",
    [
        body(None, operation="DELETE"),
        body(ingress("web", "shop", "x.example"), operation="DELETE"),
        body(None),
        body(ingress("web", "shop", "x.example", deletionTimestamp="2026-01-01T00:00:00Z"), operation="UPDATE"),
    ],
)
def test_removals_pass(passing: bytes) -> None:
    assert response(passing) == {"uid": "u-1", "allowed": True}


def test_another_kind_is_refused_in_ingress_nginx_words() -> None:
    message = response(body({"kind": "Pod"}, kind={"group": "", "version": "v1", "kind": "Pod"}))["status"]["message"]
    assert message.startswith("rejecting admission review because the request does not contain an Ingress resource")


def test_an_object_of_the_wrong_shape_is_refused() -> None:
    assert "cannot be read" in response(body({"spec": {"rules": 7}}))["status"]["message"]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"[" * 100_000,
        body(None).replace(b"admission.k8s.io/v1", b"admission.k8s.io/v1beta1"),
        b'{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}',
    ],
)
def test_what_is_no_review_is_said_so(data: bytes) -> None:
    with pytest.raises(UnreadableReviewError):
        answer(data, refuse)
