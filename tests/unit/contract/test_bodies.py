"""Sizes, switches and buffers as ingress-nginx writes them, in annotations and in the ConfigMap."""

from __future__ import annotations

import pytest

from proto.objects import Ingress, ObjectKey
from proto.policies import RequestBody, ResponseBuffering
from proto.resources import Settings
from services.compiler.core.policies import policies_of
from services.contract.annotations.entry import PREFIX
from services.contract.annotations.read import read_annotations
from services.contract.annotations.values import MalformedError, parse_size
from services.contract.configmap.read import read_configmap
from services.edge.core.proxying import UNLIMITED, proxying_for, proxying_of

KEY = ObjectKey("configmap", "d", "c")


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("1000", 1000),
        ("1k", 1024),
        ("8K", 8192),
        ("1m", 1 << 20),
        ("2M", 2 << 20),
        ("3g", 3 << 30),
        ("1G", 1 << 30),
        ("10737418240", 10 << 30),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "1b", "15r", "-1", "1.5m", "1 m", "m", "0x10", "1kb", "9223372036854775808", "9999999999g", "１k"]
)
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(MalformedError):
        parse_size(text)


def annotated(**values: str) -> Ingress:
    return Ingress("d", "i", annotations={PREFIX + name.replace("_", "-"): value for name, value in values.items()})


def test_annotations_become_policies() -> None:
    settings, found = read_annotations(
        annotated(
            proxy_body_size="8m",
            proxy_request_buffering="off",
            client_body_buffer_size="1M",
            proxy_buffering="on",
            proxy_buffer_size="128k",
            proxy_buffers_number="8",
            proxy_max_temp_file_size="0",
        )
    )
    assert found == ()
    assert policies_of(settings) == (
        RequestBody(8 << 20, False, 1 << 20),
        ResponseBuffering(True, 128 << 10, 8, 0),
    )


def test_a_size_that_cannot_be_read_leaves_the_global_one() -> None:
    settings, found = read_annotations(annotated(proxy_body_size="15r", client_body_buffer_size="1b"))
    assert [finding.code for finding in found] == ["annotation-invalid"] * 2
    assert policies_of(settings) == ()


def test_the_configmap() -> None:
    data = {
        "proxy-body-size": "0",
        "proxy-request-buffering": "off",
        "client-body-buffer-size": "16k",
        "client-body-timeout": "12",
        "client-header-timeout": "30",
        "large-client-header-buffers": "4 16k",
        "proxy-buffering": "on",
        "proxy-buffer-size": "64k",
        "proxy-buffers-number": "2",
        "proxy-max-temp-file-size": "1m",
    }
    reading = read_configmap(KEY, data)
    assert reading.diagnostics == ()
    assert reading.settings == Settings(
        proxy_body_size=0,
        proxy_request_buffering=False,
        client_body_buffer_size=16 << 10,
        client_body_timeout=12.0,
        client_header_timeout=30.0,
        large_client_header_buffers=(4, 16 << 10),
        proxy_buffering=True,
        proxy_buffer_size=64 << 10,
        proxy_buffers_number=2,
        proxy_max_temp_file_size=1 << 20,
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("proxy-body-size", "much"),
        ("proxy-buffering", "true"),
        ("large-client-header-buffers", "8k"),
        ("large-client-header-buffers", "4 1b"),
        ("large-client-header-buffers", "0 8k"),
        ("large-client-header-buffers", "9999 1m"),
        ("client-body-timeout", "-1"),
    ],
)
def test_a_value_of_the_configmap_that_cannot_be_read_is_named(name: str, value: str) -> None:
    reading = read_configmap(KEY, {name: value})
    assert [finding.code for finding in reading.diagnostics] == ["configmap-invalid"]
    assert reading.settings == Settings()


def test_what_they_come_to_at_the_edge() -> None:
    settings = Settings(proxy_body_size=0, proxy_buffering=True)
    shared = proxying_of(settings)
    assert (shared.body_limit, shared.request_buffering, shared.response_memory) == (UNLIMITED, True, 16 << 10)
    own = proxying_for((RequestBody(5, False), ResponseBuffering(piece=64 << 10)), shared, settings)
    assert (own.body_limit, own.request_buffering, own.body_memory) == (5, False, 8 << 10)
    assert (own.head_limit, own.response_memory, own.response_file) == (64 << 10, 256 << 10, 1 << 30)
    off = proxying_for((ResponseBuffering(enabled=False),), shared, settings)
    assert (off.response_memory, off.response_file, off.head_limit) == (0, 0, 32 << 10)
    assert proxying_for((), shared, settings) is shared
