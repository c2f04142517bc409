"""Kubernetes manifests as tests write them."""

from __future__ import annotations

import base64
from typing import Any

Manifest = dict[str, Any]


def ingress(name: str, namespace: str, host: str, secret: str = "", **meta: Any) -> Manifest:
    """An Ingress of class nginx with one host, path / and Service web."""
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    spec: dict[str, Any] = {
        "ingressClassName": "nginx",
        "rules": [{"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}],
    }
    if secret:
        spec["tls"] = [{"hosts": [host], "secretName": secret}]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": name, "namespace": namespace, **meta},
        "spec": spec,
    }


def service(name: str, namespace: str) -> Manifest:
    """A Service from port 80 to 8080."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"ports": [{"port": 80, "targetPort": 8080}]},
    }


def endpoints(name: str, namespace: str, *addresses: str) -> Manifest:
    """An EndpointSlice of a Service."""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{name}-1",
            "namespace": namespace,
            "labels": {"kubernetes.io/service-name": name},
        },
        "addressType": "IPv4",
        "ports": [{"port": 8080, "name": ""}],
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}} for address in addresses],
    }


def secret(name: str, namespace: str, data: dict[str, bytes]) -> Manifest:
    """A TLS Secret."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {"name": name, "namespace": namespace},
        "data": {key: base64.b64encode(value).decode() for key, value in data.items()},
    }


def ingress_class(name: str = "nginx", controller: str = "k8s.io/ingress-nginx") -> Manifest:
    """An IngressClass."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IngressClass",
        "metadata": {"name": name},
        "spec": {"controller": controller},
    }
