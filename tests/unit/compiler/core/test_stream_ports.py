"""Streams as objects come and go: what is compiled anew, what is said, what stays."""

from __future__ import annotations

import pytest

from proto.objects import ConfigMap, EndpointPort, EndpointSlice, ObjectKey, Service, ServicePort, SliceEndpoint, key_of
from proto.resources import Endpoint, ResourceKey, Upstream
from services.compiler.core.compiler import Compiler
from services.compiler.core.options import CompileOptions
from services.compiler.core.upstreams import compile_upstream

OPTIONS = CompileOptions(tcp_services_configmap="ns/tcp", udp_services_configmap="ns/udp")
TCP, UDP = ObjectKey("configmap", "ns", "tcp"), ObjectKey("configmap", "ns", "udp")
QUEUE = Service("shop", "queue", cluster_ip="10.96.0.1", ports=(ServicePort(5672, "amqp", "15672"),))
SLICE = EndpointSlice(
    "shop", "queue-1", "queue", ports=(EndpointPort(15672, "amqp"),), endpoints=(SliceEndpoint(("10.1.0.1",)),)
)


def codes(compiler: Compiler, key: ObjectKey = TCP) -> list[str]:
    return [found.code for found in compiler.diagnostics.get(key, ())]


def configmap(name: str = "tcp", **data: str) -> ConfigMap:
    return ConfigMap("ns", name, {key.removeprefix("p"): value for key, value in data.items()})


def made(*values: ConfigMap | Service | EndpointSlice) -> Compiler:
    compiler = Compiler(OPTIONS)
    for value in values:
        compiler.change(key_of(value), value)
    compiler.compile()
    return compiler


def test_a_service_that_comes_later_makes_the_stream_whole() -> None:
    compiler = made(configmap(p9000="shop/queue:5672"), configmap("udp"))
    assert codes(compiler) == ["stream-service-unusable"]
    for value in (QUEUE, SLICE):
        assert compiler.change(key_of(value), value)
    changed = compiler.compile()
    assert [(record.kind, record.name) for record in changed.upserts] == [("upstream", "shop/queue:5672/tcp")]
    assert codes(compiler) == []
    assert compiler.change(key_of(QUEUE), None)
    compiler.compile()
    assert codes(compiler) == ["stream-service-unusable"]
    assert ResourceKey("stream", "tcp:9000") in compiler.table


def test_entries_and_maps_that_go_take_their_streams_along() -> None:
    compiler = made(configmap(p1="shop/queue:amqp", p2="shop/queue:5672"), configmap("udp"), QUEUE, SLICE)
    less = configmap(p2="shop/queue:5672:PROXY")
    compiler.change(TCP, less)
    changed = compiler.compile()
    assert changed.removals == (ResourceKey("stream", "tcp:1"), ResourceKey("upstream", "shop/queue:amqp/tcp"))
    assert [record.name for record in changed.upserts] == ["tcp:2"]
    assert compiler.change(TCP, less) is False
    compiler.change(TCP, None)
    compiler.compile()
    assert codes(compiler) == ["streams-not-found"]
    assert {key.kind for key in compiler.table} == {"settings"}


def test_other_configmaps_are_nobodys() -> None:
    compiler = made(configmap(), configmap("udp"))
    assert compiler.change(ObjectKey("configmap", "ns", "other"), configmap("other", p1="shop/queue:1")) is False
    assert codes(compiler) == codes(compiler, UDP) == []


def test_the_same_objects_in_any_order_give_the_same_table() -> None:
    values = [configmap(p1="shop/queue:amqp", p2="a/b:1"), configmap("udp", p1="shop/queue:amqp"), QUEUE, SLICE]
    digests = set()
    for turn in range(len(values)):
        compiler = Compiler(OPTIONS)
        for value in values[turn:] + values[:turn]:
            compiler.change(key_of(value), value)
            compiler.compile()
        digests.add(compiler.digest)
    assert digests == {made(*values).digest}


def test_a_stream_shares_no_upstream_with_requests() -> None:
    """Annotations of an Ingress about its Upstream (service-upstream, load-balance) mean its own requests."""
    found = compile_upstream("5672/tcp", QUEUE, [SLICE], by_service=True)
    assert found.upstream == Upstream((Endpoint("10.1.0.1", 15672),))
    assert compile_upstream("15672/tcp", QUEUE, [SLICE]).problem == "service-port-not-found", "no target ports"
    assert compile_upstream("5672/udp", QUEUE, [SLICE]).problem == "service-port-not-found"


@pytest.mark.parametrize(
    ("zones", "by_zone", "wanted"),
    [
        ((("a",), ("b", "c")), True, (("a",), ("b", "c"))),
        ((("a",), ("b", "c")), False, ()),
        ((("a",), ()), True, ()),
        (((), ()), True, ()),
    ],
)
def test_hints_count_where_all_have_some(
    zones: tuple[tuple[str, ...], ...], by_zone: bool, wanted: tuple[tuple[str, ...], ...]
) -> None:
    ends = tuple(SliceEndpoint((f"10.1.0.{number}",), zones=zone) for number, zone in enumerate(zones))
    hinted = EndpointSlice("shop", "queue-1", "queue", ports=(EndpointPort(15672, "amqp"),), endpoints=ends)
    for service, expected in ((QUEUE, ()), (Service("shop", "queue", ports=QUEUE.ports, by_zone=True), wanted)):
        found = compile_upstream("5672", service, [hinted], by_zone=by_zone).upstream
        assert found.zones == expected
        assert len(found.endpoints) == 2
