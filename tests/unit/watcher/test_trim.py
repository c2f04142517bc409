"""What of a manifest travels, and how old versions are converted."""

from __future__ import annotations

import msgspec
import pytest

from proto.objects import (
    EndpointPort,
    IngressBackend,
    IngressClass,
    IngressPath,
    IngressTLS,
    Service,
    ServicePort,
    SliceEndpoint,
)
from services.contract.ingress_manifest import IngressManifest, trim_ingress
from services.watcher import manifest, trim
from services.watcher.observed import RawSecret


def ingress(spec: dict[str, object] | None, version: str = "networking.k8s.io/v1", **meta: object) -> object:
    data = {"apiVersion": version, "metadata": {"name": "web", "namespace": "shop", **meta}, "spec": spec}
    return trim_ingress(msgspec.convert(data, IngressManifest))


def test_bulky_annotations_stay_behind_and_the_rest_travels() -> None:
    found = ingress(
        {},
        uid="u1",
        creationTimestamp="2024-01-01T00:00:00Z",
        annotations={"kubectl.kubernetes.io/last-applied-configuration": "{…}", "other/x": "1", "empty": None},
    )
    assert found.annotations == {"other/x": "1", "empty": ""}
    assert found.created == 1704067200
    assert found.uid == "u1"


@pytest.mark.parametrize("version", ["networking.k8s.io/v1beta1", "extensions/v1beta1"])
def test_old_versions_become_v1(version: str) -> None:
    path = {"path": "/a", "backend": {"serviceName": "s", "servicePort": 80}}
    named = {"path": "/b", "backend": {"serviceName": "s", "servicePort": "http"}}
    digits = {"pathType": "Exact", "backend": {"serviceName": "s", "servicePort": "8080"}}
    found = ingress(
        {
            "backend": {"serviceName": "fallback", "servicePort": "web"},
            "rules": [{"host": "x", "http": {"paths": [path, named, digits]}}],
        },
        version,
    )
    assert found.default_backend == IngressBackend("fallback", port_name="web")
    assert found.rules[0].paths == (
        IngressPath("/a", "ImplementationSpecific", IngressBackend("s", port_number=80)),
        IngressPath("/b", "ImplementationSpecific", IngressBackend("s", port_name="http")),
        IngressPath("", "Exact", IngressBackend("s", port_number=8080)),
    )


def test_v1_is_not_read_as_an_old_version() -> None:
    backend = {"serviceName": "s", "servicePort": 80}
    found = ingress({"backend": backend, "rules": [{"http": {"paths": [{"path": "/", "backend": backend}]}}]})
    assert found.default_backend is None
    assert found.rules[0].paths == (IngressPath("/", "", IngressBackend()),)


def test_odd_values_travel_as_they_are() -> None:
    found = ingress(
        {
            "ingressClassName": "",
            "defaultBackend": {"resource": {"kind": "Bucket", "name": "b"}},
            "rules": [
                None,
                {"host": "only-host"},
                {"http": {"paths": None}},
                {"http": {"paths": [{"pathType": "Wild", "backend": None}, {"backend": {"service": {"name": "s"}}}]}},
            ],
            "tls": [{"hosts": None}, {"hosts": ["a", "B"], "secretName": "t"}],
        }
    )
    assert found.class_name == ""
    assert found.default_backend == IngressBackend(resource="Bucket/b")
    assert [rule.has_http for rule in found.rules] == [False, True, True]
    assert found.rules[2].paths == (
        IngressPath("", "Wild", None),
        IngressPath("", "", IngressBackend("s")),
    )
    assert found.tls == (IngressTLS(), IngressTLS(("a", "B"), "t"))


def test_a_manifest_with_nothing_in_it() -> None:
    assert trim_ingress(IngressManifest()).name == ""
    assert trim.trim_service(manifest.ServiceManifest()) == Service("", "")
    assert trim.trim_ingress_class(manifest.IngressClassManifest()) == IngressClass("")
    assert trim.trim_endpoint_slice(manifest.EndpointSliceManifest()) is None
    assert trim.trim_endpoints(manifest.EndpointsManifest()) == []


def test_the_default_class() -> None:
    data = {
        "metadata": {"name": "n", "annotations": {"ingressclass.kubernetes.io/is-default-class": "true"}},
        "spec": {"controller": "k8s.io/ingress-nginx"},
    }
    found = trim.trim_ingress_class(msgspec.convert(data, manifest.IngressClassManifest))
    assert found == IngressClass("n", "k8s.io/ingress-nginx", True)


def test_ports_of_a_service() -> None:
    data = {
        "metadata": {"name": "s", "namespace": "n"},
        "spec": {
            "clusterIP": "None",
            "ports": [{"port": 80, "targetPort": 8080}, {"port": 81, "name": "m", "targetPort": "metrics"}],
        },
    }
    found = trim.trim_service(msgspec.convert(data, manifest.ServiceManifest))
    assert found.cluster_ip == "None"
    assert found.ports == (ServicePort(80, "", "8080"), ServicePort(81, "m", "metrics"))


def test_conditions_of_endpoints_stay_unset_when_they_are() -> None:
    data = {
        "metadata": {"name": "s-1", "namespace": "n", "labels": {"kubernetes.io/service-name": "s"}},
        "addressType": "IPv4",
        "ports": [{"port": 8080, "name": ""}],
        "endpoints": [
            {"addresses": ["10.0.0.1"]},
            {"addresses": ["10.0.0.2"], "conditions": {"ready": False, "serving": True, "terminating": True}},
        ],
    }
    found = trim.trim_endpoint_slice(msgspec.convert(data, manifest.EndpointSliceManifest))
    assert found is not None
    assert found.service == "s"
    assert found.ports == (EndpointPort(8080),)
    assert found.endpoints == (
        SliceEndpoint(("10.0.0.1",)),
        SliceEndpoint(("10.0.0.2",), False, True, True),
    )


def test_hints_of_zones() -> None:
    hints = [{}, {"hints": None}, {"hints": {"forZones": None}}, {"hints": {"forZones": [{"name": "a"}, None, {}]}}]
    data = {
        "metadata": {"name": "s-1", "namespace": "n", "labels": {"kubernetes.io/service-name": "s"}},
        "endpoints": [{"addresses": ["10.0.0.1"], **hint} for hint in hints],
    }
    found = trim.trim_endpoint_slice(msgspec.convert(data, manifest.EndpointSliceManifest))
    assert found is not None
    assert [endpoint.zones for endpoint in found.endpoints] == [(), (), (), ("a",)]


@pytest.mark.parametrize(
    ("annotations", "by_zone"),
    [
        ({}, False),
        ({"service.kubernetes.io/topology-mode": "Auto"}, True),
        ({"service.kubernetes.io/topology-mode": "auto"}, True),
        ({"service.kubernetes.io/topology-mode": "Disabled"}, False),
        ({"service.kubernetes.io/topology-aware-hints": "Auto"}, True),
    ],
)
def test_services_that_want_zones(annotations: dict[str, str], by_zone: bool) -> None:
    data = {"metadata": {"name": "s", "namespace": "n", "annotations": annotations}, "spec": {}}
    assert trim.trim_service(msgspec.convert(data, manifest.ServiceManifest)).by_zone is by_zone


def test_a_slice_of_no_service_is_nobodys() -> None:
    data = {"metadata": {"name": "s-1", "namespace": "n"}, "endpoints": [{"addresses": ["10.0.0.1"]}]}
    assert trim.trim_endpoint_slice(msgspec.convert(data, manifest.EndpointSliceManifest)) is None


def test_endpoints_become_one_slice_for_each_subset_and_family() -> None:
    data = {
        "metadata": {"name": "s", "namespace": "n"},
        "subsets": [
            {
                "addresses": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}],
                "notReadyAddresses": [{"ip": "10.0.0.2"}],
                "ports": [{"port": 8080}],
            }
        ],
    }
    four, six = trim.trim_endpoints(msgspec.convert(data, manifest.EndpointsManifest))
    assert (four.name, four.address_type, four.service) == ("endpoints:s:0:ipv4", "IPv4", "s")
    assert four.endpoints == (SliceEndpoint(("10.0.0.1",)), SliceEndpoint(("10.0.0.2",), False))
    assert six.endpoints == (SliceEndpoint(("fd00::1",)),)


def test_plain_values_of_a_secret_win_over_encoded_ones() -> None:
    data = {
        "metadata": {"name": "t", "namespace": "n"},
        "data": {"a": "aGFs\nbG8=", "b": "eA=="},
        "stringData": {"b": "plain"},
    }
    found = trim.raw_secret(msgspec.convert(data, manifest.SecretManifest))
    assert found == RawSecret("n", "t", "Opaque", {"a": b"hallo", "b": b"plain"})
    assert "hallo" not in repr(found)


def test_a_secret_that_is_not_base64_is_refused_without_showing_it() -> None:
    data = {"metadata": {"name": "t"}, "data": {"key": "s3cret!"}}
    with pytest.raises(trim.TrimError, match=r"data\[key\]: not base64") as caught:
        trim.raw_secret(msgspec.convert(data, manifest.SecretManifest))
    assert "s3cret" not in str(caught.value)
