"""Which processes make up ``limen up``, and how each is called. Pure: no process is started here."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from services.cli.children import ChildSpec
from services.cli.option_entry import Option
from services.cli.option_table import BUS, INSTANCE, LOG_FORMAT, ROLE_OPTIONS
from services.cli.options import arguments
from services.runtime.settings import HostPort

_OWN: Final = frozenset({"http", "https", "sealing_key", "objects_key", "signing_key", "verify_key"})
"""What ``up`` decides for its children."""
_SLACK: Final = 10.0


class Plan(Struct, frozen=True, kw_only=True):
    """What ``up`` was told, completed. ``values``: the options by key. ``nats``: URLs, passed by environment since they
    may hold a password. ``admin_sockets``: for each child, the descriptor of its listening admin socket.
    ``logs``: a folder for the children's output; None: where ours goes."""

    values: Mapping[str, Any]
    state: Path
    nats: tuple[str, ...]
    http: tuple[HostPort, ...]
    https: tuple[HostPort, ...]
    edges: int
    admin_sockets: Mapping[str, int]
    logs: Path | None = None


def names(edges: int) -> list[str]:
    """The names of the children, the bus aside."""
    return ["watcher", "compiler", *(f"edge-{number}" for number in range(1, edges + 1))]


def specs(plan: Plan) -> list[ChildSpec]:
    """How to run each of them."""
    return [_spec(plan, name) for name in names(plan.edges)]


def _spec(plan: Plan, name: str) -> ChildSpec:
    role = name.partition("-")[0]
    descriptor = plan.admin_sockets[name]
    words = [sys.executable, "-m", "services.cli.main", role, f"--name={name}", f"--state={plan.state / name}"]
    words += [f"--admin=fd:{descriptor}"]
    words += arguments(_passed(role), plan.values)
    words += [f"--{key}-key={plan.state / 'keys' / f'{key}.key'}" for key in _keys_of(role)]
    stop_within = _SLACK
    if role == "edge":
        words += [f"--http={address}" for address in plan.http] + [f"--https={address}" for address in plan.https]
        if plan.values["manifests"] and not plan.values["allow_loopback_upstreams"]:
            words += ["--allow-loopback-upstreams=true"]  # the manifests are the operator's own
        stop_within += plan.values["shutdown_grace_period"] + plan.values["worker_shutdown_timeout"]
    return ChildSpec(
        name=name,
        role=role,
        command=tuple(words),
        environment={"LIMEN_NATS": " ".join(plan.nats)},
        stop_within=stop_within,
        log=plan.logs / f"{name}.log" if plan.logs else None,
        inherit=(descriptor,),
    )


def _keys_of(role: str) -> tuple[str, ...]:
    return {"watcher": ("sealing", "objects"), "compiler": ("signing", "objects"), "edge": ("sealing", "verify")}[role]


def _passed(role: str) -> Sequence[Option]:
    options = (*BUS, INSTANCE, LOG_FORMAT, *ROLE_OPTIONS)
    return [option for option in options if role in option.roles and option.key not in _OWN and option.key != "nats"]


def source_of(values: Mapping[str, Any]) -> str:
    """What identifies the source that is served: the folders, or the content of the kubeconfig and the context."""
    if values["manifests"]:
        return "manifests " + " ".join(sorted(str(Path(path).resolve()) for path in values["manifests"]))
    if not values["kubeconfig"]:
        return f"kube {values['context']}"
    try:
        content = Path(values["kubeconfig"]).read_text()
    except OSError:
        content = ""  # the watcher will say what is wrong with it
    return f"kube {values['context']} {values['kubeconfig']} {content}"
