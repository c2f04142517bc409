"""Services and EndpointSlices to endpoints (contract section 1.10)."""

from __future__ import annotations

import pytest

from proto.objects import EndpointPort, EndpointSlice, Service, ServicePort, SliceEndpoint
from services.compiler.core.upstreams import compile_upstream, parse_name

HTTP = (EndpointPort(8080, "http"),)


def slice_of(*entries: SliceEndpoint, ports: tuple[EndpointPort, ...] = HTTP, family: str = "IPv4") -> EndpointSlice:
    return EndpointSlice("shop", "s", "web", family, ports, entries)


def service_with(*ports: ServicePort, **fields: str) -> Service:
    return Service("shop", "web", ports=ports, **fields)  # type: ignore[arg-type]


def reach(port: str, service: Service | None, *slices: EndpointSlice) -> tuple[list[str], str]:
    found = compile_upstream(port, service, slices)
    return [f"{endpoint.address}:{endpoint.port}" for endpoint in found.upstream.endpoints], found.problem


READY = SliceEndpoint(("10.0.0.1",), True)
WEB = service_with(ServicePort(80, "http", "8080"))


@pytest.mark.parametrize("port", ["80", "8080", "http", ""])
def test_a_port_by_number_target_name_or_as_the_first(port: str) -> None:
    assert reach(port, WEB, slice_of(READY)) == (["10.0.0.1:8080"], "")


def test_the_first_service_port_that_fits_wins() -> None:
    both = service_with(ServicePort(8080, "one", "1000"), ServicePort(80, "two", "8080"))
    ports = (EndpointPort(1000, "one"), EndpointPort(8080, "two"))
    assert reach("8080", both, slice_of(READY, ports=ports)) == (["10.0.0.1:1000"], "")


@pytest.mark.parametrize(
    ("conditions", "ready"),
    [
        ({"ready": True}, True),
        ({}, True),
        ({"ready": None, "serving": True, "terminating": True}, True),
        ({"ready": False}, False),
        ({"ready": False, "serving": True, "terminating": True}, False),
    ],
)
def test_readiness(conditions: dict[str, bool | None], ready: bool) -> None:
    endpoint = SliceEndpoint(("10.0.0.1",), **conditions)
    assert bool(reach("80", WEB, slice_of(endpoint))[0]) is ready


def test_sorted_without_duplicates_over_all_slices() -> None:
    one = slice_of(SliceEndpoint(("10.0.0.2",)), SliceEndpoint(("10.0.0.1",)))
    two = slice_of(SliceEndpoint(("10.0.0.2", "10.0.0.3")))
    six = slice_of(SliceEndpoint(("2001:db8::1",)), family="IPv6")
    expected = ["10.0.0.1:8080", "10.0.0.2:8080", "10.0.0.3:8080", "2001:db8::1:8080"]
    assert reach("80", WEB, one, two, six) == (expected, "")
    assert reach("80", WEB, six, two, one) == (expected, "")


def test_named_target_ports_may_differ_between_slices() -> None:
    named = service_with(ServicePort(80, "http", "web"))
    one = slice_of(READY)
    two = slice_of(SliceEndpoint(("10.0.0.2",)), ports=(EndpointPort(9090, "http"),))
    assert reach("http", named, one, two) == (["10.0.0.1:8080", "10.0.0.2:9090"], "")


def test_slices_without_fitting_ports() -> None:
    numbered, named = WEB, service_with(ServicePort(80, "http", "web"))
    assert reach("80", numbered, slice_of(READY, ports=())) == (["10.0.0.1:8080"], "")
    assert reach("80", numbered, slice_of(READY, ports=(EndpointPort(1, "x"),))) == (["10.0.0.1:8080"], "")
    assert reach("80", named, slice_of(READY, ports=())) == ([], "")
    assert reach("80", numbered, slice_of(READY, ports=(EndpointPort(53, "http", "UDP"),))) == ([], "")


def test_a_service_port_without_a_name_takes_every_port() -> None:
    unnamed = service_with(ServicePort(80))
    ports = (EndpointPort(3000), EndpointPort(3001, "x"))
    assert reach("80", unnamed, slice_of(READY, ports=ports)) == (["10.0.0.1:3000", "10.0.0.1:3001"], "")


@pytest.mark.parametrize("port", ["81", "https", "0"])
def test_no_such_port(port: str) -> None:
    assert reach(port, WEB, slice_of(READY)) == ([], "service-port-not-found")


def test_no_such_service() -> None:
    assert reach("80", None) == ([], "service-not-found")
    assert reach("", service_with()) == ([], "service-port-not-found")


@pytest.mark.parametrize(
    ("name", "port", "ports", "expected"),
    [
        ("api.example.org", "443", (), ["api.example.org:443"]),
        ("API.example.org.", "443", (), ["api.example.org:443"]),
        ("192.0.2.1", "80", (), ["192.0.2.1:80"]),
        ("a.test", "80", (ServicePort(80, "http", "8080"),), ["a.test:8080"]),
        ("a.test", "http", (ServicePort(80, "http", "8080"),), ["a.test:8080"]),
        ("a.test", "http", (ServicePort(80, "http", "named"),), ["a.test:80"]),
        ("a.test", "", (ServicePort(80, "http"),), ["a.test:80"]),
    ],
)
def test_external_names(name: str, port: str, ports: tuple[ServicePort, ...], expected: list[str]) -> None:
    external = service_with(*ports, type="ExternalName", external_name=name)
    assert reach(port, external) == (expected, "")
    assert compile_upstream(port, external, ()).upstream.dns is not name[0].isdigit()


@pytest.mark.parametrize(
    "name",
    [
        *("localhost", "LOCALHOST.", "127.0.0.1", "::1", "::ffff:127.0.0.1", "0.0.0.0", "::"),
        *("169.254.169.254", "fe80::1"),
        *("", "a b", "a..b", "-a.test", "a" * 254),
    ],
)
def test_external_names_that_are_refused(name: str) -> None:
    external = service_with(type="ExternalName", external_name=name)
    assert reach("80", external) == ([], "service-external-name-refused")


@pytest.mark.parametrize("port", ["http", "0", "70000", ""])
def test_external_names_without_a_usable_port(port: str) -> None:
    assert reach(port, service_with(type="ExternalName", external_name="a.test")) == ([], "service-port-not-found")


def test_external_names_can_be_switched_off() -> None:
    external = service_with(type="ExternalName", external_name="a.test")
    found = compile_upstream("80", external, (), external_names=False)
    assert found.problem == "service-external-name-refused"


def test_addresses_that_are_names_are_resolved() -> None:
    assert compile_upstream("80", WEB, [slice_of(SliceEndpoint(("a.test",)), family="FQDN")]).upstream.dns


def test_names_of_upstreams() -> None:
    assert parse_name("shop/web:80") == ("shop", "web", "80")
    assert parse_name("shop/web:") == ("shop", "web", "")


@pytest.mark.parametrize("number", [-1, 65536, 10**12])
def test_numbers_that_are_no_ports_are_passed_over(number: int) -> None:
    web = service_with(ServicePort(80, "http", "named"))
    assert reach("80", web, slice_of(READY, ports=(EndpointPort(number, "http"),))) == ([], "")


@pytest.mark.parametrize("target", ["0", "65536", "9" * 5000])
def test_target_ports_that_are_none_reach_nothing(target: str) -> None:
    port = ServicePort(80, "http", target)
    assert reach("80", service_with(port), slice_of(READY, ports=())) == ([], "")
    assert reach("80", service_with(port, type="ExternalName", external_name="a.test")) == (["a.test:80"], "")
