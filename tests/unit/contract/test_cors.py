"""Annotations about CORS: what is read, and what is passed over with a word about it."""

from __future__ import annotations

import pytest

from proto.objects import Ingress
from services.contract.annotations.cors import parse_header_names, parse_methods, parse_origins
from services.contract.annotations.entry import PREFIX
from services.contract.annotations.read import read_annotations
from services.contract.annotations.values import MalformedError


@pytest.mark.parametrize(
    ("text", "origins"),
    [
        ("*", ("*",)),
        ("*, foo.bar.com", ("*",)),
        (" https://a.example , http://*.b.example:8080,null", ("https://a.example", "http://*.b.example:8080", "null")),
        ("a.example:8080, https://b.example", ("https://b.example",)),
        ("https://a.example/path", ()),
        ("https://*.*.example", ()),
        ("https://a.example$host", ()),
        ("tauri://localhost:3000", ("tauri://localhost:3000",)),
        (",", ()),
    ],
)
def test_origins(text: str, origins: tuple[str, ...]) -> None:
    assert parse_origins(text) == origins


def test_an_entry_that_is_no_origin_is_named_and_the_others_hold() -> None:
    ingress = Ingress("ns", "i", annotations={PREFIX + "cors-allow-origin": "bad, https://b.example"})
    settings, findings = read_annotations(ingress)
    assert settings.cors_allow_origin == ("https://b.example",)
    assert [finding.code for finding in findings] == ["annotation-invalid"]
    assert "'bad', which is no origin" in findings[0].message


@pytest.mark.parametrize("text", ["GET, PUT", "GET,PUT,", "get"])
def test_methods(text: str) -> None:
    assert parse_methods(text) == text


@pytest.mark.parametrize("text", ["X-A, X_b", "*", "A,B C"])
def test_header_names(text: str) -> None:
    assert parse_header_names(text) == text


@pytest.mark.parametrize("text", ["GET;", "GET\r\nX: y", "$request_method", "", "GET" + ", GET" * 20000 + ";"])
def test_what_is_no_list_is_refused(text: str) -> None:
    with pytest.raises(MalformedError):
        parse_methods(text)
    with pytest.raises(MalformedError):
        parse_header_names(text)
