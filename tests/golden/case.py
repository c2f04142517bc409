"""Golden cases: manifests in, resources and diagnostics out, both as text that people can read.

A case is a folder with ``objects.yaml`` (Kubernetes manifests), perhaps ``options.yaml`` (flags), ``accepted.yaml``
(Ingresses accepted before), and ``expected.yaml``. Manifests go through the folder source's own reader and trimming.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import yaml
from msgspec.structs import asdict

from proto.codec import decode_resource
from proto.diagnostics import Diagnostic
from proto.objects import Ingress, Object, key_of
from proto.policies import Policy, Rewrite, SSLRedirect
from proto.resources import (
    Action,
    Alias,
    Certificate,
    Credentials,
    Forward,
    Redirect,
    Resource,
    ResourceRecord,
    Respond,
    Route,
    RouteGroup,
    Settings,
    Stream,
    Upstream,
    VirtualHost,
)
from proto.sealing import Sealer
from services.compiler.core.compiler import Compiler
from services.compiler.core.options import CompileOptions
from services.watcher.observed import RawSecret
from services.watcher.secrets import seal_secret
from services.watcher.sources.folder.documents import pieces_of, read_yaml

HERE = Path(__file__).parent
CASES = HERE / "cases"
REAL = HERE / "real"
SHARED = REAL / "controller.yaml"
"""What the manifests of real applications share."""
EXPECTED_OF_EXAMPLES = HERE / "examples"
EXAMPLES = HERE.parent.parent / "examples"
EXAMPLE_OPTIONS = {"configmap": CompileOptions(configmap="ingress-nginx/ingress-nginx-controller")}
REAL_OPTIONS = CompileOptions(configmap="ingress-nginx/ingress-nginx-controller", enable_ssl_passthrough=True)
_SEALER = Sealer("limen", [("00" * 8, bytes(32))])


class Case(msgspec.Struct, frozen=True):
    """``files``: manifests; ``expected``: where the answer stands."""

    name: str
    files: tuple[Path, ...]
    expected: Path
    options: CompileOptions = CompileOptions()
    accepted: Path | None = None


def all_cases() -> list[Case]:
    """The cases of this folder, real applications, and every example."""
    cases = [_case(folder) for folder in sorted(CASES.iterdir()) if (folder / "objects.yaml").is_file()]
    cases += real_cases()
    for folder in sorted(path for path in EXAMPLES.iterdir() if path.is_dir()):
        files = (EXAMPLES / "ingressclass.yaml", *sorted(folder.rglob("*.yaml")))
        expected = EXPECTED_OF_EXAMPLES / f"{folder.name}.yaml"
        options = EXAMPLE_OPTIONS.get(folder.name, CompileOptions())
        cases.append(Case(f"example-{folder.name}", files, expected, options))
    return cases


def real_cases() -> list[Case]:
    """Popular applications as their charts are used, in an installation that allows snippets."""
    folders = sorted(path for path in REAL.iterdir() if path.is_dir())
    return [
        Case(f"real-{folder.name}", (SHARED, folder / "objects.yaml"), folder / "expected.yaml", REAL_OPTIONS)
        for folder in folders
    ]


def _case(folder: Path) -> Case:
    options, accepted = folder / "options.yaml", folder / "accepted.yaml"
    return Case(
        folder.name,
        (folder / "objects.yaml",),
        folder / "expected.yaml",
        msgspec.convert(yaml.safe_load(options.read_text()), CompileOptions) if options.exists() else CompileOptions(),
        accepted if accepted.exists() else None,
    )


def objects_in(files: Iterable[Path]) -> list[Object]:
    """The objects that the manifests in ``files`` are on the bus. Mistakes in them fail the test."""
    found: list[Object] = []
    for file in files:
        for piece in pieces_of(file.read_text()):
            document = read_yaml(piece.text)
            mistakes = [mistake.reason for mistake in document.mistakes if not mistake.note]
            assert not mistakes, f"{file}: {mistakes}"
            for entry in document.found:
                value = entry.value
                found.append(seal_secret(value, _SEALER, None) if isinstance(value, RawSecret) else value)
    return found


def compile_case(case: Case) -> Compiler:
    """A compiler that has compiled the case."""
    compiler = Compiler(case.options)
    for value in objects_in([case.accepted] if case.accepted else []):
        assert isinstance(value, Ingress)
        compiler.set_accepted(value)
    for value in objects_in(case.files):
        compiler.change(key_of(value), value)
    compiler.compile()
    return compiler


def render(compiler: Compiler) -> str:
    """The table and the findings as YAML."""
    shown: dict[str, Any] = {}
    groups: dict[str, RouteGroup] = {}
    resources: list[tuple[ResourceRecord, Resource]] = []
    for record in sorted(compiler.records(), key=lambda record: (record.kind, record.name)):
        resource = decode_resource(record)
        if isinstance(resource, RouteGroup):
            groups[record.name] = resource
        else:
            resources.append((record, resource))
    for record, resource in resources:
        if isinstance(resource, Settings):
            shown["settings"] = _differences(resource) or "defaults"
            continue
        kind = _PLURALS.get(record.kind) or f"{record.kind.removesuffix('s')}s"
        shown.setdefault(kind, {})[record.name or "(any)"] = _resource(resource, groups)
    findings = [_finding(entry) for key in sorted(compiler.diagnostics) for entry in compiler.diagnostics[key]]
    text = {**shown, "diagnostics": findings}
    return yaml.safe_dump(text, sort_keys=False, allow_unicode=True, width=110)


_PLURALS = {"virtualhost": "hosts", "alias": "aliases"}


def _resource(resource: Resource, groups: dict[str, RouteGroup]) -> Any:
    match resource:
        case VirtualHost():
            shown: dict[str, Any] = {"mode": resource.mode}
            if resource.tls:
                shown["tls"] = resource.certificate or "(default certificate)"
            if resource.app_root:
                shown["app root"] = resource.app_root
            if resource.denied:
                shown["denied"] = True
            if resource.handshake is not None:
                shown["handshake"] = msgspec.to_builtins(asdict(resource.handshake)) | {
                    "client": resource.handshake.client and asdict(resource.handshake.client)
                }
            routes = [*resource.routes, *(route for name in resource.groups for route in groups[name].routes)]
            return shown | {"routes": [_route(route) for route in routes]}
        case Alias():
            said = "redirected to" if resource.redirects else "served as"
            return f"{said} {resource.host}" + (f", tls {resource.certificate}" if resource.tls else "")
        case Stream():
            words = [name for name, on in (("reads", resource.reads_proxy), ("writes", resource.writes_proxy)) if on]
            return resource.upstream + "".join(f", {word} PROXY headers" for word in words)
        case Upstream():
            said = {} if resource.balancing is None else asdict(resource.balancing)
            balancing = [f"{name} {value}" for name, value in said.items() if value]
            zones = [f" for {', '.join(zones)}" for zones in resource.zones] or [""] * len(resource.endpoints)
            ends = (f"{endpoint.address}:{endpoint.port}" for endpoint in resource.endpoints)
            return [*balancing, *map("".join, zip(ends, zones, strict=True))]
        case Certificate():
            return list(resource.names)
        case Credentials():
            held = {"pair": resource.chain, "authority": resource.sealed_authority, "revoked": resource.sealed_revoked}
            return [name for name, value in held.items() if value] + list(resource.sealed_entries)
        case _:
            raise AssertionError(resource)


def _differences(settings: Settings) -> dict[str, Any]:
    default = msgspec.structs.asdict(Settings())
    given = msgspec.structs.asdict(settings)
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in given.items()
        if value != default[name]
    }


def _route(route: Route) -> str:
    parts = [route.match.kind, route.match.value, "->", _action(route.action)]
    parts += [_policy(policy) for policy in route.policies]
    parts.append(f"of {route.ingress}" if route.ingress else "of nobody")
    if route.synthetic:
        parts.append("(synthetic)")
    return " ".join(parts)


def _action(action: Action) -> str:
    match action:
        case Forward(upstream, ""):
            return upstream
        case Forward(upstream, fallback):
            return f"{upstream} else {fallback}"
        case Respond(status):
            return str(status)
        case Redirect(status, location):
            return f"{status} {location}"


def _policy(policy: Policy) -> str:
    if isinstance(policy, Rewrite):
        prefix = f", prefix {policy.prefix}" if policy.prefix else ""
        return f"[rewrite {policy.pattern} to {policy.target}{prefix}]"
    if isinstance(policy, SSLRedirect):
        words = {None: "unset", True: "on", False: "off"}
        return f"[ssl-redirect {words[policy.enabled]}, force {words[policy.force]}]"
    said = {name: value for name, value in asdict(policy).items() if value is not None}
    return f"[{policy.__struct_config__.tag} {', '.join(f'{name} {value}' for name, value in said.items())}]"


def _finding(diagnostic: Diagnostic) -> dict[str, str]:
    shown = {
        "object": str(diagnostic.object),
        "code": f"{diagnostic.code} ({diagnostic.severity})",
        "field": diagnostic.field,
        "value": diagnostic.value,
        "message": diagnostic.message,
        "remedy": diagnostic.remedy,
    }
    return {name: text for name, text in shown.items() if text}
