"""What is asked of nginx and of an edge side by side: groups of hosts as data, one file (``*.yaml``) for each.

A group has one ConfigMap. Each host has the Ingresses as users write them, in short; beside them, written by hand, what
a server block of nginx needs to mean the same; and requests.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec
import yaml
from msgspec import Struct

from tests.support.manifests import Manifest

PREFIX = "nginx.ingress.kubernetes.io/"
NAMESPACE = "shop"
FOLDER = Path(__file__).parent


class Asked(Struct, frozen=True, forbid_unknown_fields=True):
    """A request. ``ask``: method and target; ``headers``: lines; ``size``: of a body made up; ``host``: in place of the
    group's; ``times``: how often, one after the other; ``differs``: why the answers are not the same: then they must
    not be."""

    ask: str
    headers: tuple[str, ...] = ()
    body: str = ""
    size: int = 0
    chunked: bool = False
    host: str = ""
    version: Literal["1.0", "1.1"] = "1.1"
    tls: bool = False
    times: int = 1
    differs: str = ""


class Owned(Struct, frozen=True, forbid_unknown_fields=True):
    """An Ingress in short. ``paths``: (type, path, Service) each."""

    annotations: dict[str, str] = {}
    paths: tuple[tuple[Literal["Exact", "Prefix", "ImplementationSpecific"], str, str], ...] = (("Prefix", "/", "a"),)


class Host(Struct, frozen=True, forbid_unknown_fields=True):
    """A host: its Ingresses, the oldest first, and the inside of nginx's server block. ``names``: nginx's server_name,
    where it is not the host; ``extra``: what stands beside that block."""

    host: str
    nginx: str
    requests: tuple[str | Asked, ...]
    ingresses: tuple[Owned, ...] = (Owned(),)
    tls: bool = False
    names: str = ""
    extra: str = ""


class Group(Struct, frozen=True, forbid_unknown_fields=True):
    """Hosts under one ConfigMap. ``http``: what of nginx stands beside the servers; ``objects``: further objects."""

    about: str
    hosts: tuple[Host, ...]
    configmap: dict[str, str] = {}
    http: str = ""
    objects: tuple[dict[str, Any], ...] = ()


NAMES = tuple(sorted(file.stem for file in FOLDER.glob("*.yaml")))


def group(name: str, words: Mapping[str, str]) -> Group:
    """The group of that name, with ``words`` filled in that are only known when everything runs."""
    text = (FOLDER / f"{name}.yaml").read_text()
    for word, value in words.items():
        text = text.replace(word, value)
    return msgspec.convert(yaml.safe_load(text), Group)


def requests_of(host: Host) -> list[Asked]:
    """The requests for a host, in their order."""
    return [Asked(one) if isinstance(one, str) else one for one in host.requests]


def manifests_of(host: Host) -> list[Manifest]:
    """The Ingresses of a host."""
    return [_ingress(host, number, owned) for number, owned in enumerate(host.ingresses)]


def _ingress(host: Host, number: int, owned: Owned) -> Manifest:
    paths = [
        {"path": path, "pathType": kind, "backend": {"service": {"name": service, "port": {"number": 80}}}}
        for kind, path, service in owned.paths
    ]
    spec: dict[str, Any] = {"ingressClassName": "nginx", "rules": [{"host": host.host, "http": {"paths": paths}}]}
    if host.tls:
        spec["tls"] = [{"hosts": [host.host]}]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {
            "name": f"{host.host.replace('*', 'any')}-{number}",
            "namespace": NAMESPACE,
            "creationTimestamp": f"2024-01-01T00:{number:02}:00Z",
            "annotations": {PREFIX + name: value for name, value in owned.annotations.items()},
        },
        "spec": spec,
    }
