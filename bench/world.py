"""A made-up cluster of any size: the same objects each time, in the shapes that real ones have.

Owns the sizes and the mix: each Ingress has one host with two paths and its own Service; one in ten rewrites, one in
five has TLS with one of a hundred Secrets; endpoints are spread evenly over the Services.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from msgspec.structs import replace

from proto.objects import (
    EndpointPort,
    EndpointSlice,
    Ingress,
    IngressBackend,
    IngressClass,
    IngressPath,
    IngressRule,
    IngressTLS,
    Object,
    Secret,
    Service,
    ServicePort,
    SliceEndpoint,
    TLSMaterial,
)

NAMESPACES = 50
SECRETS = 100
CLASS = "nginx"


class World:
    """``ingresses`` Ingresses with a Service each and ``endpoints`` endpoints in all, in ``network``.128.0.0/10."""

    def __init__(self, ingresses: int = 10_000, endpoints: int = 50_000, network: int = 10) -> None:
        self.ingresses = ingresses
        self.endpoints_each = max(1, endpoints // ingresses)
        self._network = network
        self._chance = random.Random(1)

    def objects(self) -> Iterator[Object]:
        """Every object, in no particular order that anything may rely on."""
        yield IngressClass(CLASS, "k8s.io/ingress-nginx")
        for number in range(min(SECRETS, self.ingresses)):
            yield self.secret(number)
        for number in range(self.ingresses):
            yield self.service(number)
            yield self.slice(number)
            yield self.ingress(number)

    def namespace(self, number: int) -> str:
        return f"team-{number % NAMESPACES}"

    def host(self, number: int) -> str:
        return f"app-{number}.apps.example.com"

    def ingress(self, number: int) -> Ingress:
        """Ingress ``number``."""
        backend = IngressBackend(f"app-{number}", port_number=80)
        rewrites = number % 10 == 0
        annotations = {"nginx.ingress.kubernetes.io/rewrite-target": "/$2"} if rewrites else {}
        first = (
            IngressPath("/api(/|$)(.*)", "ImplementationSpecific", backend)
            if rewrites
            else IngressPath("/api", "Prefix", backend)
        )
        rules = (IngressRule(self.host(number), (first, IngressPath("/", "Prefix", backend)), True),)
        tls = (IngressTLS((self.host(number),), f"tls-{number // NAMESPACES % 2}"),) if number % 5 == 0 else ()
        return Ingress(
            self.namespace(number),
            f"app-{number}",
            uid=f"00000000-0000-4000-8000-{number:012d}",
            created=1_700_000_000 + number,
            annotations=annotations,
            class_name=CLASS,
            rules=rules,
            tls=tls,
        )

    def changed_ingress(self, number: int, path: str) -> Ingress:
        """Ingress ``number`` with one more path."""
        ingress = self.ingress(number)
        rule = ingress.rules[0]
        more = IngressPath(path, "Prefix", IngressBackend(f"app-{number}", port_number=80))
        return replace(ingress, rules=(replace(rule, paths=(*rule.paths, more)),))

    def large_ingress(self, number: int, paths: int) -> Ingress:
        """One of many Ingresses that share a host, with ``paths`` paths of its own."""
        backend = IngressBackend(f"app-{number}", port_number=80)
        own = tuple(IngressPath(f"/service-{number}/part-{part}", "Prefix", backend) for part in range(paths))
        rules = (IngressRule("large.example.com", own, True),)
        return Ingress(
            self.namespace(number), f"large-{number}", created=1_700_000_000 + number, class_name=CLASS, rules=rules
        )

    def service(self, number: int) -> Service:
        """The Service of Ingress ``number``."""
        ports = (ServicePort(80, "http", "8080"),)
        return Service(
            self.namespace(number), f"app-{number}", cluster_ip=f"10.96.{number // 250}.{number % 250}", ports=ports
        )

    def slice(self, number: int, without: int = -1) -> EndpointSlice:
        """Its EndpointSlice; ``without``: leave that endpoint out."""
        first = number * self.endpoints_each
        addresses = [first + offset for offset in range(self.endpoints_each) if offset != without]
        scrambled = [(address * 2_654_435_761) % (1 << 22) for address in addresses]
        endpoints = tuple(
            SliceEndpoint((f"{self._network}.{128 + (value >> 16)}.{value >> 8 & 255}.{value & 255}",), ready=True)
            for value in scrambled
        )
        return EndpointSlice(
            self.namespace(number),
            f"app-{number}-1",
            f"app-{number}",
            ports=(EndpointPort(8080, "http"),),
            endpoints=endpoints,
        )

    def secret(self, number: int) -> Secret:
        """A TLS Secret with a chain of the usual size (random bytes: the compiler never looks inside)."""
        names = ("*.apps.example.com",)
        material = TLSMaterial(
            (self._chance.randbytes(900), self._chance.randbytes(1100)),
            names,
            1_700_000_000,
            2_000_000_000,
            self._chance.randbytes(32).hex(),
            self._chance.randbytes(290),
            "ec",
        )
        return Secret(f"team-{number % NAMESPACES}", f"tls-{number // NAMESPACES}", "kubernetes.io/tls", material)
