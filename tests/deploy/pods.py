"""The pods of deploy/kubernetes as local processes: their arguments, with paths and names of this machine."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from services.runtime.keys import make_keys
from services.runtime.logins import LOGINS, make_logins
from tests.support.kustomize import rendered
from tests.support.nats import NatsServer
from tests.support.processes import Process, limen

NAMESPACE = "ingress-nginx"
WORKLOADS = {"edge": "ingress-nginx-controller", "watcher": "limen-watcher", "compiler": "limen-compiler"}


def pod_spec(role: str, overlay: str = "base") -> dict[str, Any]:
    """The spec of the pods of a role."""
    for found in rendered(overlay):
        if found["kind"] == "Deployment" and found["metadata"]["name"] == WORKLOADS[role]:
            spec: dict[str, Any] = found["spec"]["template"]["spec"]
            return spec
    raise AssertionError(f"no Deployment {WORKLOADS[role]}")


class Pods:
    """Processes that stand for pods. ``keys`` is the folder from which the Secrets would be made."""

    def __init__(self, folder: Path, nats: NatsServer, overlay: str) -> None:
        self.nats = nats
        self._overlay = overlay
        self._folder = folder
        self.keys = folder / "keys"

    def _secret(self, name: str) -> Path:
        folders = {"limen-keys": "", "limen-nats": "nats", "limen-nats-tls": "nats-tls"}
        return self.keys / folders[name]

    def call(self, role: str, name: str, replace: Mapping[str, str | None]) -> tuple[list[str], dict[str, str]]:
        """The container's arguments and environment here. ``replace`` gives options other values, or takes them out
        (None)."""
        spec = pod_spec(role, self._overlay)
        (container,) = spec["containers"]
        volumes = {volume["name"]: volume for volume in spec["volumes"]}
        texts = {"$(POD_NAME)": name, "$(POD_NAMESPACE)": NAMESPACE, "nats://limen-nats:4222": self.nats.url}
        for mount in container["volumeMounts"]:
            place = self._folder / name / mount["name"]
            place.mkdir(parents=True, exist_ok=True)
            texts[mount["mountPath"]] = str(place)
            secret = volumes[mount["name"]].get("secret", {"items": ()})
            for item in secret["items"]:
                shutil.copy(self._secret(secret["secretName"]) / item["key"], place / item["path"])
        known = re.compile("(?<![^=])(?:" + "|".join(map(re.escape, sorted(texts, key=len, reverse=True))) + ")")

        def local(text: str) -> str:
            return known.sub(lambda match: texts[match[0]], text)

        words = []
        for word in container["args"]:
            option, _, _ = word.partition("=")
            if option not in replace:
                words.append(local(word))
            elif replace[option] is not None:
                words.append(f"{option}={replace[option]}")
        given = {entry["name"]: local(entry["value"]) for entry in container["env"] if "value" in entry}
        return words, {"POD_NAME": name, "POD_NAMESPACE": NAMESPACE, **given}

    def refusals(self) -> list[str]:
        """What the server of the bus did not permit."""
        return [line for line in self.nats.log.read_text().splitlines() if "violation" in line.lower()]

    def start(
        self,
        role: str,
        name: str,
        replace: Mapping[str, str | None] = {},
        *more: str,
        env: Mapping[str, str] = {},
    ) -> Process:
        """Run a pod's container. ``more``: further arguments."""
        words, environment = self.call(role, name, {"--admin": None, **replace})
        return Process(limen(*words, *more), self._folder / f"{name}.log", env={**environment, **env})


def make_server_certificate(folder: Path) -> None:
    """What the Secret limen-nats-tls holds: a server's certificate (here for 127.0.0.1), its key, and the authority."""
    folder.mkdir(parents=True)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "limen-nats")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    plain = serialization.NoEncryption()
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    for file, content in (("ca.crt", pem), ("tls.crt", pem), ("tls.key", private)):
        (folder / file).write_bytes(content)


@asynccontextmanager
async def guarded_bus(folder: Path, overlay: str = "base") -> AsyncIterator[Pods]:
    """A server with the configuration that an overlay deploys, and keys as ``limen keys`` makes them."""
    make_keys(folder / "keys")
    make_logins(folder / "keys/nats")
    config = next(
        found["data"]["nats.conf"]
        for found in rendered("base")
        if found["kind"] == "ConfigMap" and found["metadata"]["name"].startswith("limen-nats")
    )
    for line in ('listen: "0.0.0.0:4222"', 'http: "0.0.0.0:8222"', 'store_dir: "/data"'):
        assert line in config
        config = config.replace(line, "")
    (container,) = next(
        found["spec"]["template"]["spec"]["containers"] for found in rendered(overlay) if found["kind"] == "StatefulSet"
    )
    if "--tls" in container["args"]:
        make_server_certificate(folder / "keys/nats-tls")
        tls = folder / "keys/nats-tls"
        config += f'tls {{ cert_file: "{tls}/tls.crt", key_file: "{tls}/tls.key" }}\n'
    server = NatsServer(folder / "nats", config)
    before = dict(os.environ)
    for login in LOGINS:  # what the StatefulSet takes from the Secret
        os.environ[f"{login.upper()}_NKEY"] = (folder / f"keys/nats/{login}.pub").read_text()
    try:
        await server.start()
        yield Pods(folder, server, overlay)
    finally:
        server.kill()
        os.environ.clear()
        os.environ.update(before)
