"""What the Kubernetes source asks for, and what it makes of the answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from proto.objects import SliceEndpoint
from services.contract.ingress_manifest import LoadBalancerPoint
from services.runtime.bus import BusOptions
from services.watcher.addresses import refusal
from services.watcher.options import WatcherOptions
from services.watcher.sources.kubernetes.kinds import KINDS, USELESS_SECRETS, scopes_of
from services.watcher.status.points import ordered, points_of_addresses

SPECS = {spec.kind: spec for spec in KINDS}


def options(**values: Any) -> WatcherOptions:
    key = Path("key")
    bus = BusOptions(servers=("nats://x",), name="w")
    return WatcherOptions(
        bus=bus, instance="limen", name="w", state=key, sealing_key=key, objects_key=key, kube=True, **values
    )


def read(kind: str, manifest: dict[str, Any]) -> Any:
    return SPECS[kind].read(json.dumps(manifest).encode())  # type: ignore[index]


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("10.0.0.1", ""),
        ("192.168.0.1", ""),
        ("2001:db8::1", ""),
        ("fd00::1", ""),
        ("127.0.0.1", "loopback"),
        ("127.8.9.10", "loopback"),
        ("::1", "loopback"),
        ("::ffff:127.0.0.1", "loopback"),
        ("169.254.1.1", "link-local"),
        ("fe80::1", "link-local"),
        ("169.254.169.254", "a metadata service"),
        ("::ffff:169.254.169.254", "a metadata service"),
        ("fd00:ec2::254", "a metadata service"),
        ("100.100.100.200", "a metadata service"),
        ("168.63.129.16", "a metadata service"),
        ("0.0.0.0", "unspecified"),
        ("::", "unspecified"),
        ("224.0.0.1", "multicast"),
        ("pod.example", "no IP address"),
        ("010.0.0.1", "no IP address"),
        ("", "no IP address"),
    ],
)
def test_addresses_that_no_pod_has(address: str, reason: str) -> None:
    assert refusal(address) == reason


def test_a_slice_is_left_with_the_addresses_that_pods_have() -> None:
    found = read(
        "endpointslice",
        {
            "metadata": {"name": "s-1", "namespace": "n", "labels": {"kubernetes.io/service-name": "s"}},
            "endpoints": [{"addresses": ["10.0.0.1"]}, {"addresses": ["127.0.0.1"]}, {"addresses": ["169.254.0.1"]}],
        },
    )
    assert found.value.endpoints == (SliceEndpoint(("10.0.0.1",)),)
    assert found.refused == ("127.0.0.1: loopback", "169.254.0.1: link-local")


def test_a_slice_without_a_service_means_nothing() -> None:
    assert read("endpointslice", {"metadata": {"name": "s-1", "namespace": "n"}}).value is None


@pytest.mark.parametrize(
    ("spec", "status", "points"),
    [
        ({"type": "LoadBalancer"}, [{"ip": "1.2.3.4"}, {"hostname": "lb.example"}], ["1.2.3.4", "lb.example"]),
        ({"type": "LoadBalancer", "externalIPs": ["5.6.7.8"]}, None, ["5.6.7.8"]),
        ({"type": "NodePort", "clusterIP": "10.0.0.1", "externalIPs": ["5.6.7.8"]}, None, ["5.6.7.8"]),
        ({"type": "NodePort", "clusterIP": "10.0.0.1"}, None, ["10.0.0.1"]),
        ({"clusterIP": "10.0.0.1"}, None, ["10.0.0.1"]),
        ({"clusterIP": "None"}, None, []),
        ({"type": "ExternalName", "externalName": "x.example"}, None, ["x.example"]),
    ],
)
def test_where_a_published_service_is_reached(spec: dict[str, Any], status: Any, points: list[str]) -> None:
    manifest = {
        "metadata": {"name": "s", "namespace": "n"},
        "spec": spec,
        "status": {"loadBalancer": {"ingress": status}} if status else None,
    }
    assert [point.ip or point.hostname for point in read("service", manifest).published] == points


def test_fixed_addresses_and_their_order() -> None:
    assert points_of_addresses("b.example, 10.0.0.2,,10.0.0.1,10.0.0.2") == (
        LoadBalancerPoint(hostname="b.example"),
        LoadBalancerPoint(ip="10.0.0.1"),
        LoadBalancerPoint(ip="10.0.0.2"),
    )
    assert ordered(()) == ()


def test_the_whole_cluster_is_one_scope_for_each_kind() -> None:
    for spec in KINDS:
        (scope,) = scopes_of(spec, options(configmap="infra/c", publish_service="infra/s"))
        assert scope.path(spec) == f"{spec.group}/{spec.plural}"
    (secrets,) = scopes_of(SPECS["secret"], options())
    assert secrets.selectors() == {"fieldSelector": USELESS_SECRETS}


def test_one_namespace_and_what_flags_name_elsewhere() -> None:
    chosen = options(
        watch_namespace="shop",
        configmap="infra/c",
        default_backend_service="infra/d",
        default_ssl_certificate="infra/t",
        publish_service="infra/p",
    )
    paths = {spec.kind: [(scope.path(spec), scope.selectors()) for scope in scopes_of(spec, chosen)] for spec in KINDS}
    assert paths["ingress"] == [("/apis/networking.k8s.io/v1/namespaces/shop/ingresses", {})]
    assert paths["ingressclass"] == [("/apis/networking.k8s.io/v1/ingressclasses", {})]
    assert paths["configmap"][1] == (
        "/api/v1/namespaces/infra/configmaps",
        {"fieldSelector": "metadata.name=c"},
    )
    assert [selectors for _, selectors in paths["service"]] == [
        {},
        {"fieldSelector": "metadata.name=d"},
        {"fieldSelector": "metadata.name=p"},
    ]
    assert paths["secret"][1] == ("/api/v1/namespaces/infra/secrets", {"fieldSelector": "metadata.name=t"})
    assert paths["endpointslice"][1] == (
        "/apis/discovery.k8s.io/v1/namespaces/infra/endpointslices",
        {"labelSelector": "kubernetes.io/service-name=d"},
    )
    inside = options(watch_namespace="infra", configmap="infra/c")
    assert len(scopes_of(SPECS["configmap"], inside)) == 1
    ports = options(watch_namespace="shop", tcp_services_configmap="infra/tcp", udp_services_configmap="infra/udp")
    assert [scope.selectors() for scope in scopes_of(SPECS["configmap"], ports)] == [
        {},
        {"fieldSelector": "metadata.name=tcp"},
        {"fieldSelector": "metadata.name=udp"},
    ]
