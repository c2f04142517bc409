"""Every flag of a role reaches what the role runs by; those of ingress-nginx that decide what is served decide it."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from services.cli.main import cli
from services.cli.option_entry import Option
from services.cli.options import for_role
from services.contract.annotations.entry import PREFIX
from tests.support.manifests import Manifest, endpoints, ingress, ingress_class, service

ROLES = ("watcher", "compiler", "edge")
NEEDED = {
    "watcher": {"kube": "true", "sealing-key": "a", "objects-key": "a"},
    "compiler": {"signing-key": "a", "objects-key": "a"},
    "edge": {"http": "127.0.0.1:1", "sealing-key": "a", "verify-key": "a"},
}
SAMPLES = {
    "election-ttl": "30s",
    "enable-metrics": "false",
    "exclude-socket-metrics": "requests",
    "instance": "another",
    "length-buckets": "1,2",
    "log-format": "json",
    "metrics-per-undefined-host": "true",
    "nats": "nats://192.0.2.1:4222",
    "size-buckets": "1,2",
    "time-buckets": "1,2",
    "validating-webhook": ":1",
    "watch-namespace-selector": "a=b",
}
WEBHOOK = {"validating-webhook": ":2", "validating-webhook-certificate": "a", "validating-webhook-key": "a"}
"""Each of them needs the others."""
NOT_COMPARED = frozenset({"nats-creds", "nats-nkey", "nats-ca", "nats-cert", "nats-key", "manifests", "kube"})
"""Files that are looked at when they are named; and the two sources, of which one is needed."""


class RanError(Exception):
    """A role would run by these options."""

    def __init__(self, options: Any) -> None:
        self.options = options


def runs_by(role: str, folder: Path, monkeypatch: pytest.MonkeyPatch, words: dict[str, str]) -> Any:
    """What ``role`` would run by. Paths and names of this machine are the same each time."""

    def run(options: Any) -> int:
        raise RanError(options)

    monkeypatch.setattr(importlib.import_module(f"services.{role}.main"), "run", run)
    monkeypatch.setattr(f"services.cli.{role}.finish", lambda _role, start: start())
    (folder / "a").write_bytes(b"a")
    monkeypatch.chdir(folder)
    given = {"state": str(folder), "name": "here", **NEEDED[role], **words}
    result = CliRunner().invoke(cli, [role, *(f"--{name}={value}" for name, value in given.items())])
    assert isinstance(result.exception, RanError), result.output
    return result.exception.options


def sample(option: Option, folder: Path) -> str:
    """A value that differs from what holds otherwise."""
    if option.name in SAMPLES:
        return SAMPLES[option.name]
    if option.kind is bool:
        return str(not option.default).lower()
    text = str(option.default)
    if text.isdigit() or isinstance(option.default, int | float):
        return str(int(option.default or 0) + 1)
    kind = type(option.kind).__name__.lower()
    if "host" in kind or "address" in kind:
        return "127.0.0.1:7"
    if "path" in kind or "file" in kind or "folder" in kind:
        (folder / "other").mkdir(exist_ok=True)
        return str(folder / "other") if option.name == "state" else "b"
    return "other/value" if "namespaced" in kind else "other"


@pytest.mark.parametrize(
    ("role", "option"),
    [(role, option) for role in ROLES for option in for_role(role) if option.name not in NOT_COMPARED],
)
def test_a_flag_makes_a_difference(role: str, option: Option, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "b").write_bytes(b"b")
    others = WEBHOOK if option.name in WEBHOOK else {}
    usual = runs_by(role, tmp_path, monkeypatch, others)
    assert runs_by(role, tmp_path, monkeypatch, {**others, option.name: sample(option, tmp_path)}) != usual


def explained(folder: Path, *manifests: Manifest, words: tuple[str, ...] = (), url: str = "http://a.example/") -> str:
    """What becomes of a request, in a sentence."""
    (folder / "all.yaml").write_text("\n---\n".join(json.dumps(manifest) for manifest in manifests))
    command = ["explain", "GET", url, "--manifests", str(folder), "--json", *words]
    result = CliRunner().invoke(cli, command, catch_exceptions=False)
    return str(json.loads(result.stdout)["outcome"])


SERVED = "forward to shop/web:80"
SERVICE = service("web", "shop")
SLICE = endpoints("web", "shop", "10.0.0.1")


def of_class(name: str) -> Manifest:
    made = ingress("web", "shop", "a.example")
    made["spec"]["ingressClassName"] = name
    if not name:
        del made["spec"]["ingressClassName"]
    return made


@pytest.mark.parametrize(
    ("manifest", "classes", "words", "served"),
    [
        (of_class("nginx"), [ingress_class("nginx", "example.com/other")], (), False),
        (of_class("nginx"), [ingress_class("nginx", "example.com/other")], ("--ingress-class-by-name",), True),
        (of_class("own"), [ingress_class("own", "example.com/own")], ("--controller-class=example.com/own",), True),
        (of_class("own"), [ingress_class("own", "example.com/own")], ("--ingress-class=own",), False),
        (of_class(""), [ingress_class()], (), False),
        (of_class(""), [ingress_class()], ("--watch-ingress-without-class",), True),
        (of_class(""), [ingress_class()], ("--watch-ingress-without-class=false",), False),
        (of_class("nginx"), [ingress_class()], ("--watch-namespace=elsewhere",), False),
        (of_class("nginx"), [ingress_class()], ("--watch-namespace=shop",), True),
    ],
)
def test_flags_that_decide_whose_an_ingress_is(
    manifest: Manifest, classes: list[Manifest], words: tuple[str, ...], served: bool, tmp_path: Path
) -> None:
    told = explained(tmp_path, manifest, *classes, SERVICE, SLICE, words=words)
    assert (told == SERVED) is served, told


def test_flags_that_decide_what_is_served(tmp_path: Path) -> None:
    external = service("web", "shop")
    external["spec"] = {"type": "ExternalName", "externalName": "web.example.com", "ports": external["spec"]["ports"]}
    web = ingress("web", "shop", "a.example")
    foreign = endpoints("other", "shop", "10.0.0.2")
    assert explained(tmp_path, web, external, foreign) == SERVED
    assert "503" in explained(tmp_path, web, external, foreign, words=("--disable-svc-external-name",))
    catch_all = ingress("web", "shop", "a.example")
    catch_all["spec"]["defaultBackend"] = {"service": {"name": "web", "port": {"number": 80}}}
    del catch_all["spec"]["rules"]
    other = "http://b.example/"
    assert explained(tmp_path, catch_all, SERVICE, SLICE, url=other) == SERVED
    assert "404" in explained(tmp_path, catch_all, SERVICE, SLICE, words=("--disable-catch-all",), url=other)
    words = ("--default-backend-service=shop/web",)
    assert explained(tmp_path, web, SERVICE, SLICE, words=words, url=other) == "forward to shop/web:"


def test_flags_that_decide_what_is_refused(tmp_path: Path) -> None:
    odd = ingress("web", "shop", "a.example")
    odd["spec"]["rules"][0]["http"]["paths"][0] |= {"path": "/etc/passwd", "pathType": "Prefix"}
    url = "http://a.example/etc/passwd"
    assert "404" in explained(tmp_path, odd, SERVICE, SLICE, url=url)
    assert explained(tmp_path, odd, SERVICE, SLICE, words=("--deep-inspect=false",), url=url) == SERVED
    guarded = ingress("web", "shop", "a.example", annotations={PREFIX + "enable-modsecurity": "true"})
    assert "503" in explained(tmp_path, guarded, SERVICE, SLICE)
    assert explained(tmp_path, guarded, SERVICE, SLICE, words=("--ignore-modsecurity",)) == SERVED
    meta = {"name": "ingress-nginx-controller", "namespace": "ingress-nginx"}
    rules = {"enable-modsecurity": "true", "modsecurity-snippet": "SecRuleEngine On"}
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": rules}
    plain = ingress("web", "shop", "a.example")
    assert "503" in explained(tmp_path, plain, SERVICE, SLICE, config)
    assert explained(tmp_path, plain, SERVICE, SLICE, config, words=("--ignore-modsecurity",)) == SERVED
