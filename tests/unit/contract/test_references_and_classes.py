"""What refers to what, and whose Ingresses are ours."""

from __future__ import annotations

import pytest

from proto.objects import IngressClass, IngressTLS, ObjectKey
from services.compiler.core.options import CompileOptions
from services.contract.classes import CLASS_ANNOTATION, is_ours
from services.contract.diagnostic_codes import CODES
from services.contract.references import references_of, references_of_configmap, references_of_flags
from tests.support.objects import NGINX, ingress

CLASSES = {class_.name: class_ for class_ in (NGINX, IngressClass("other", "example.com/other"))}


def test_references_of_an_ingress() -> None:
    found = references_of(
        ingress(
            "i",
            tls=(IngressTLS(("h",), "cert"), IngressTLS(("g",))),
            auth_secret="users",
            auth_tls_secret="elsewhere/ca",
            proxy_ssl_secret=" shop/client ",
            auth_proxy_set_headers="headers",
            custom_headers="shop/more",
            default_backend="web",
            auth_url="http://a/b",
        )
    )
    assert found == {
        ObjectKey("secret", "shop", "cert"),
        ObjectKey("secret", "shop", "users"),
        ObjectKey("secret", "elsewhere", "ca"),
        ObjectKey("secret", "shop", "client"),
        ObjectKey("configmap", "shop", "headers"),
        ObjectKey("configmap", "shop", "more"),
    }


@pytest.mark.parametrize("value", ["", " ", "/", "a/", "/b", "a/b/c"])
def test_what_names_nothing(value: str) -> None:
    assert references_of(ingress("i", auth_secret=value)) == frozenset()


def test_references_of_configmap_and_flags() -> None:
    data = {"proxy-set-headers": "ingress-nginx/headers", "ssl-dh-param": "ingress-nginx/dh", "keep-alive": "a/b"}
    assert references_of_configmap(data) == {
        ObjectKey("configmap", "ingress-nginx", "headers"),
        ObjectKey("secret", "ingress-nginx", "dh"),
    }
    assert references_of_flags(configmap="a/b", default_ssl_certificate="c/d") == {
        ObjectKey("configmap", "a", "b"),
        ObjectKey("secret", "c", "d"),
    }
    assert references_of_flags(tcp_services_configmap="a/tcp", udp_services_configmap="a/udp") == {
        ObjectKey("configmap", "a", "tcp"),
        ObjectKey("configmap", "a", "udp"),
    }


@pytest.mark.parametrize(
    ("class_name", "annotation", "flags", "ours"),
    [
        ("nginx", None, {}, True),
        ("other", None, {}, False),
        ("missing", None, {}, False),
        ("nginx", "other", {}, True),
        ("other", "nginx", {}, False),
        (None, "nginx", {}, True),
        (None, "other", {}, False),
        (None, "", {"watch_ingress_without_class": True}, False),
        (None, None, {}, False),
        (None, None, {"watch_ingress_without_class": True}, True),
        ("other", None, {"ingress_class": "other", "ingress_class_by_name": True}, True),
        ("other", None, {"ingress_class": "other"}, False),
        ("nginx", None, {"ingress_class": "other", "ingress_class_by_name": True}, True),
        ("other", None, {"controller_class": "example.com/other"}, True),
        (None, "mine", {"ingress_class": "mine"}, True),
        ("", None, {"watch_ingress_without_class": True}, False),
    ],
)
def test_classes(class_name: str | None, annotation: str | None, flags: dict[str, object], ours: bool) -> None:
    found = ingress("i", class_name=class_name)
    if annotation is not None:
        found.annotations[CLASS_ANNOTATION] = annotation
    assert is_ours(found, CLASSES, CompileOptions(**flags)) is ours  # type: ignore[arg-type]


def test_every_code_says_when_it_is_raised() -> None:
    for code in CODES.values():
        assert code.doc.endswith("."), code.name
        assert "  " not in code.doc, code.name
        assert not code.rejects or code.severity == "error", code.name
