"""docker-compose.yml, carried out without containers: each service's command with its environment as a local process.

What a container runtime does is put in place of it: names become addresses of a network namespace, volumes become
folders, an image becomes the command that its Dockerfile stage starts, ``0.0.0.0`` and ``127.0.0.1`` become the
service's own address, since all of them share one network here.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.test_dockerfile import STAGES
from tests.support.namespace import Namespace, namespace
from tests.support.nats import nats_server_binary
from tests.support.processes import REPOSITORY, Process
from tests.support.waiting import eventually_sync

COMPOSE: dict[str, Any] = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ADDRESSES = {name: f"10.89.0.{number}" for number, name in enumerate(SERVICES, 2)}
IMAGES = {service["image"]: service["build"]["target"] for service in SERVICES.values() if "build" in service}
LONG_RUNNING = [name for name, service in SERVICES.items() if service["restart"] != "no"]
PROGRAMS = {
    "limen": [sys.executable, "-m", "services.cli.main"],
    "python": [sys.executable],
    "nats-server": [nats_server_binary()],
    "wget": ["curl", "--fail", "--silent", "--show-error"],
}


class Stack:
    """The services of the file as processes in one namespace."""

    def __init__(self, folder: Path, space: Namespace) -> None:
        self._folder = folder
        self._space = space
        self.running: dict[str, Process] = {}

    def start(self, name: str) -> Process:
        """Run what the container of service ``name`` would run."""
        service = SERVICES[name]
        words = [*self._entrypoint(service), *service["command"]]
        environment = [f"{key}={self._local(name, value)}" for key, value in service.get("environment", {}).items()]
        command = [*PROGRAMS[words[0]], *(self._local(name, word) for word in words[1:])]
        clean = ["env", "--ignore-environment", "PATH=/usr/bin:/bin", "HOME=/nonexistent", *environment]
        log = self._folder / f"{name}.log"
        self.running[name] = Process(self._space.inside(*clean, *command), log)
        return self.running[name]

    def _entrypoint(self, service: dict[str, Any]) -> list[str]:
        if "entrypoint" in service:
            return list(service["entrypoint"])
        if service["image"].startswith("nats:"):
            return ["nats-server"]  # what the official image makes of arguments that begin with a dash
        return list(json.loads(STAGES[IMAGES[service["image"]]].last("ENTRYPOINT")))

    def _local(self, name: str, text: str) -> str:
        """``text`` with the container's paths and addresses in terms of this machine."""
        for volume in SERVICES[name].get("volumes", ()):
            source, target, *_ = volume.split(":")
            folder = REPOSITORY / source if source.startswith(".") else self._folder / "volumes" / source
            folder.mkdir(parents=True, exist_ok=True)
            text = re.sub(rf"{re.escape(target)}(?=/|$)", str(folder), text)
        return text.replace("0.0.0.0", ADDRESSES[name]).replace("127.0.0.1", ADDRESSES[name])

    def healthy(self, name: str) -> bool:
        """Whether the service's own health check passes (services without one: whether it runs)."""
        if not self.running[name].running:
            raise RuntimeError(f"{name} ended:\n{self.running[name].output()[-3000:]}")
        check = SERVICES[name].get("healthcheck")
        if check is None:
            return True
        kind, program, *rest = check["test"]
        assert kind == "CMD"
        arguments = [
            self._local(name, word) for word in rest if (program, word) not in (("wget", "-q"), ("wget", "-O-"))
        ]
        return self._space.run(*PROGRAMS[program], *arguments).returncode == 0

    def curl(self, *arguments: str) -> str:
        """What curl prints there."""
        done = self._space.run("curl", "--silent", "--show-error", "--max-time", "5", *arguments)
        if done.returncode:
            raise OSError(f"curl {' '.join(arguments)}: {done.stderr}")
        return done.stdout

    def logs(self) -> str:
        """The end of every service's log."""
        return "\n".join(f"== {name}\n{child.output()[-1500:]}" for name, child in self.running.items())


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Everything up and healthy."""
    folder = tmp_path_factory.mktemp("compose")
    with namespace(folder, ADDRESSES) as space:
        stack = Stack(folder, space)
        try:
            assert stack.start("keys").wait(30) == 0, stack.logs()
            for name in LONG_RUNNING:
                stack.start(name)
            for name in LONG_RUNNING:
                eventually_sync(lambda name=name: stack.healthy(name), 30, what=f"{name} healthy", every=0.2)
            yield stack
        finally:
            for child in stack.running.values():
                child.end()


@pytest.mark.netns
@pytest.mark.parametrize("edge", ["edge-1", "edge-2"])
@pytest.mark.parametrize("path", ["coffee", "tea"])
def test_both_edges_reach_both_backends(stack: Stack, edge: str, path: str) -> None:
    answer = stack.curl("-H", "Host: cafe.localhost", f"http://{ADDRESSES[edge]}:8080/{path}")
    assert path in answer, stack.logs()


@pytest.mark.netns
@pytest.mark.parametrize("edge", ["edge-1", "edge-2"])
def test_both_edges_terminate_tls(stack: Stack, edge: str) -> None:
    resolve = f"cafe.localhost:8443:{ADDRESSES[edge]}"
    assert "coffee" in stack.curl("--insecure", "--resolve", resolve, "https://cafe.localhost:8443/coffee")


@pytest.mark.netns
def test_unknown_hosts_are_not_found(stack: Stack) -> None:
    answer = stack.curl("--output", "/dev/null", "--write-out", "%{http_code}", f"http://{ADDRESSES['edge-1']}:8080/")
    assert answer == "404"


def test_published_ports_are_those_that_the_comment_tells() -> None:
    comment = "".join(re.findall(r"^#.*\n", (REPOSITORY / "docker-compose.yml").read_text(), re.MULTILINE))
    published = {
        int(match[1]): name
        for name in ("edge-1", "edge-2")
        for port in SERVICES[name]["ports"]
        if (match := re.fullmatch(r"\$\{\w+:-(\d+)\}:\d+", port))
    }
    assert published == {8080: "edge-1", 8443: "edge-1", 8081: "edge-2", 8444: "edge-2"}
    assert all(str(port) in comment for port in published)


@pytest.mark.parametrize("name", ["watcher", "compiler", "edge-1", "edge-2"])
def test_roles_run_locked_down_and_say_how_they_are(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["build"]["target"] == name.partition("-")[0]
    assert "/readyz" in " ".join(service["healthcheck"]["test"])
    assert service["depends_on"]["keys"]["condition"] == "service_completed_successfully"


@pytest.mark.parametrize("name", ["watcher", "compiler", "edge-1", "edge-2"])
def test_keys_are_mounted_for_reading_only(name: str) -> None:
    assert "keys:/keys:ro" in SERVICES[name]["volumes"]
    assert "keys:/keys" in SERVICES["keys"]["volumes"]


def test_external_names_are_services_of_the_file() -> None:
    manifests = yaml.safe_load_all((REPOSITORY / "deploy/compose/manifests/cafe.yaml").read_text())
    names = {found["spec"]["externalName"] for found in manifests if found["kind"] == "Service"}
    assert names == {"coffee", "tea"}
    assert names <= SERVICES.keys()
