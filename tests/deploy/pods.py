"""The pods of deploy/kubernetes as local processes: their arguments, with paths and names of this machine."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from services.runtime.keys import make_keys
from services.runtime.logins import LOGINS, make_logins
from tests.support.kustomize import rendered
from tests.support.nats import NatsServer
from tests.support.processes import Process, limen

NAMESPACE = "ingress-nginx"
WORKLOADS = {"edge": "ingress-nginx-controller", "watcher": "limen-watcher", "compiler": "limen-compiler"}


def pod_spec(role: str) -> dict[str, Any]:
    """The spec of the pods of a role."""
    for found in rendered("base"):
        if found["kind"] == "Deployment" and found["metadata"]["name"] == WORKLOADS[role]:
            spec: dict[str, Any] = found["spec"]["template"]["spec"]
            return spec
    raise AssertionError(f"no Deployment {WORKLOADS[role]}")


class Pods:
    """Processes that stand for pods. ``keys`` is the folder from which the Secrets would be made."""

    def __init__(self, folder: Path, nats: NatsServer) -> None:
        self.nats = nats
        self._folder = folder
        self.keys = folder / "keys"

    def _secret(self, name: str) -> Path:
        return {"limen-keys": self.keys, "limen-nats": self.keys / "nats"}[name]

    def arguments(self, role: str, name: str, replace: Mapping[str, str | None]) -> list[str]:
        """The container's arguments here: ``replace`` gives options other values, or takes them out (None)."""
        spec = pod_spec(role)
        (container,) = spec["containers"]
        volumes = {volume["name"]: volume for volume in spec["volumes"]}
        root = self._folder / name
        places = {}
        for mount in container["volumeMounts"]:
            place = places[mount["mountPath"]] = root / mount["name"]
            place.mkdir(parents=True, exist_ok=True)
            secret = volumes[mount["name"]].get("secret", {"items": ()})
            for item in secret["items"]:
                shutil.copy(self._secret(secret["secretName"]) / item["key"], place / item["path"])
        texts = {"$(POD_NAME)": name, "$(POD_NAMESPACE)": NAMESPACE, "nats://limen-nats:4222": self.nats.url}
        texts |= {f"={path}": f"={place}" for path, place in places.items()}
        known = re.compile("|".join(map(re.escape, sorted(texts, key=len, reverse=True))))
        words = []
        for word in container["args"]:
            option, _, _ = word.partition("=")
            if option in replace:
                if replace[option] is not None:
                    words.append(f"{option}={replace[option]}")
                continue
            words.append(known.sub(lambda match: texts[match[0]], word))
        return words

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
        words = [*self.arguments(role, name, {"--admin": None, **replace}), *more]
        environment = {"POD_NAME": name, "POD_NAMESPACE": NAMESPACE, **env}
        return Process(limen(*words), self._folder / f"{name}.log", env=environment)


@asynccontextmanager
async def guarded_bus(folder: Path) -> AsyncIterator[Pods]:
    """A server with the deployed configuration and keys as ``limen keys`` makes them."""
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
    server = NatsServer(folder / "nats", config)
    before = dict(os.environ)
    for login in LOGINS:  # what the StatefulSet takes from the Secret
        os.environ[f"{login.upper()}_NKEY"] = (folder / f"keys/nats/{login}.pub").read_text()
    try:
        await server.start()
        yield Pods(folder, server)
    finally:
        server.kill()
        os.environ.clear()
        os.environ.update(before)
