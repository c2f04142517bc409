"""The ConfigMap's keys of tracing: what is read, what is not."""

from __future__ import annotations

import pytest

from proto.objects import ObjectKey
from proto.resources import Settings
from services.contract.configmap.read import Reading, read_configmap


def read(**keys: str) -> Reading:
    data = {name.replace("_", "-"): value for name, value in keys.items()}
    return read_configmap(ObjectKey("configmap", "ns", "controller"), data)


def test_everything_is_read() -> None:
    reading = read(
        enable_opentelemetry="true",
        opentelemetry_operation_name="HTTP $request_method $uri",
        opentelemetry_trust_incoming_span="false",
        otlp_collector_host="otel-collector.otel.svc",
        otlp_collector_port="4318",
        otel_service_name="shop",
        otel_sampler="traceidratiobased",
        otel_sampler_ratio="0.5",
        otel_sampler_parent_based="false",
        otel_max_queuesize="100",
        otel_schedule_delay_millis="250",
        otel_max_export_batch_size="10",
    )
    assert reading.diagnostics == ()
    assert reading.settings == Settings(
        enable_opentelemetry=True,
        opentelemetry_operation_name="HTTP $request_method $uri",
        opentelemetry_trust_incoming_span=False,
        otlp_collector_host="otel-collector.otel.svc",
        otlp_collector_port=4318,
        otel_service_name="shop",
        otel_sampler="TraceIdRatioBased",
        otel_sampler_ratio=0.5,
        otel_sampler_parent_based=False,
        otel_max_queuesize=100,
        otel_schedule_delay_millis=250,
        otel_max_export_batch_size=10,
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("otlp_collector_host", "http://collector:4317"),
        ("otlp_collector_host", "collector:4317"),
        ("otlp_collector_host", "a b"),
        ("otlp_collector_port", "0"),
        ("otlp_collector_port", "grpc"),
        ("otel_sampler", "Sometimes"),
        ("otel_sampler_ratio", "1.5"),
        ("otel_sampler_ratio", "nan"),
        ("otel_sampler_ratio", "much"),
        ("otel_max_queuesize", "0"),
        ("otel_max_queuesize", "70000"),
        ("otel_max_export_batch_size", "-1"),
        ("otel_schedule_delay_millis", "0"),
        ("opentelemetry_operation_name", "$status"),
        ("opentelemetry_operation_name", "$no_such_variable"),
        ("opentelemetry_operation_name", "a\nb"),
    ],
)
def test_what_cannot_be_read_is_named_and_the_default_holds(name: str, value: str) -> None:
    reading = read(**{name: value})
    assert [found.code for found in reading.diagnostics] == ["configmap-invalid"]
    assert reading.settings == Settings()


def test_addresses_may_be_written_as_in_addresses() -> None:
    assert read(otlp_collector_host="[::1]").settings.otlp_collector_host == "::1"
    assert read(otlp_collector_host="192.0.2.1").settings.otlp_collector_host == "192.0.2.1"


def test_spans_that_go_nowhere_are_said() -> None:
    reading = read(enable_opentelemetry="true")
    assert [found.code for found in reading.diagnostics] == ["collector-missing"]
    assert reading.settings.enable_opentelemetry
