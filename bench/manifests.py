"""Kubernetes manifests for ``limen up --manifests``: the made-up cluster, and the one route that load goes to."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from bench.world import World
from proto.objects import EndpointSlice, Ingress, Object, Service

Manifest = dict[str, Any]


def write(file: Path, documents: Iterable[Manifest]) -> None:
    """Put ``documents`` into ``file`` as one List, by rename, so that nobody reads half of it."""
    part = file.with_name(f".{file.name}.part")
    part.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": list(documents)}))
    os.replace(part, file)


def ingress(name: str, host: str, service: str, *, path: str = "/", secret: str = "") -> Manifest:
    """An Ingress with one path."""
    backend = {"service": {"name": service, "port": {"number": 80}}}
    rule = {"host": host, "http": {"paths": [{"path": path, "pathType": "Prefix", "backend": backend}]}}
    annotations = {"nginx.ingress.kubernetes.io/ssl-redirect": "false"}
    spec: Manifest = {"ingressClassName": "nginx", "rules": [rule]}
    if secret:
        spec["tls"] = [{"hosts": [host], "secretName": secret}]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": name, "namespace": "default", "annotations": annotations},
        "spec": spec,
    }


def service(name: str, namespace: str = "default") -> Manifest:
    """A Service with port 80."""
    ports = [{"name": "http", "port": 80, "targetPort": 8080}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"ports": ports},
    }


def endpoints(name: str, addresses: Iterable[str], port: int, namespace: str = "default") -> Manifest:
    """The EndpointSlice of Service ``name``."""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": f"{name}-1", "namespace": namespace, "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": port}],
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}} for address in addresses],
    }


def ingress_class() -> Manifest:
    """The class all Ingresses here have."""
    metadata = {"name": "nginx"}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IngressClass",
        "metadata": metadata,
        "spec": {"controller": "k8s.io/ingress-nginx"},
    }


def configmap(more: Mapping[str, str] = MappingProxyType({})) -> Manifest:
    """Settings for measuring: connections may be kept as long as somebody asks, as the peers are told too."""
    data = {"keep-alive-requests": "1000000000", "upstream-keepalive-requests": "1000000000", **more}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "limen", "namespace": "default"},
        "data": data,
    }


def tls_secret(name: str, certificate: Path, key: Path) -> Manifest:
    """A TLS Secret from PEM files."""
    data = {"tls.crt": certificate, "tls.key": key}
    encoded = {field: base64.b64encode(file.read_bytes()).decode() for field, file in data.items()}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {"name": name, "namespace": "default"},
        "data": encoded,
    }


def of_world(world: World) -> Iterable[Manifest]:
    """The made-up cluster without its Secrets (whose chains are no certificates) and its class."""
    for value in world.objects():
        document = _of_object(value)
        if document is not None:
            yield document


def _of_object(value: Object) -> Manifest | None:
    match value:
        case Service(namespace=namespace, name=name):
            return service(name, namespace)
        case EndpointSlice(namespace=namespace, service=name):
            return endpoints(name, [item.addresses[0] for item in value.endpoints], value.ports[0].port, namespace)
        case Ingress():
            return _of_ingress(value)
        case _:
            return None


def _of_ingress(value: Ingress) -> Manifest:
    rules = [
        {
            "host": rule.host,
            "http": {
                "paths": [
                    {
                        "path": path.path,
                        "pathType": path.path_type,
                        "backend": {
                            "service": {"name": path.backend.service, "port": {"number": path.backend.port_number}}
                        },
                    }
                    for path in rule.paths
                    if path.backend is not None
                ]
            },
        }
        for rule in value.rules
    ]
    metadata = {"name": value.name, "namespace": value.namespace, "annotations": value.annotations}
    spec = {"ingressClassName": value.class_name, "rules": rules}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata, "spec": spec}
