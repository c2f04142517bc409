"""Objects without a bus: read once from manifests or a cluster, as the watcher reads them, and compiled right here.

What ``limen lint`` and ``limen explain`` stand on. Owns how the input is gathered and what is assumed of what people
leave out of it. Secrets are sealed with a key that lives as long as the command.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import click
import msgspec
from msgspec import Struct

from proto.codec import record_of
from proto.diagnostics import Diagnostic
from proto.objects import ConfigMap, EndpointSlice, Ingress, IngressClass, Object, ObjectKey, Secret, Service, key_of
from proto.resources import Endpoint, ResourceRecord, Upstream
from proto.sealing import Sealer
from services.compiler.core.compiler import Compiler
from services.compiler.core.options import CompileOptions
from services.contract.references import references_of, references_of_configmap, references_of_flags
from services.runtime.bus.values import BusOptions
from services.watcher.observed import RawSecret, Value
from services.watcher.options import WatcherOptions
from services.watcher.secrets import seal_secret
from services.watcher.sources.folder.documents import key_of_value
from services.watcher.sources.folder.files import MAX_FILE, Folder
from services.watcher.sources.folder.tree import SUFFIXES, scan
from services.watcher.sources.kubernetes.client import ApiError, Client, ConfigError
from services.watcher.sources.kubernetes.kinds import KINDS, KindSpec, Scope, scopes_of
from services.watcher.trim import TrimError

USUAL_CONFIGMAPS: Final = ("ingress-nginx-controller", "nginx-configuration")
"""What the ConfigMap of ingress-nginx is called by its chart, and was called by its manifests."""
STDIN: Final = Path("-")
PAGE: Final = "500"
PLACEHOLDER: Final = "192.0.2.1"
"""An address that is nobody's (RFC 5737)."""


class CannotReadError(click.ClickException):
    """The input cannot be read at all; the command ends with code 2."""

    exit_code = 2


class Given(Struct, frozen=True):
    """Everything that was read. ``found``: by place (a file, or an object), what is wrong with what stands there."""

    values: tuple[Value, ...]
    found: dict[str, tuple[Diagnostic, ...]] = {}


class Compiled(Struct, frozen=True):
    """What came of it. ``lacking``: kinds of which nothing was given; ``notes``: what was assumed, in sentences."""

    compiler: Compiler
    ingresses: tuple[Ingress, ...]
    found: dict[str, tuple[Diagnostic, ...]]
    lacking: frozenset[str]
    notes: tuple[str, ...]
    options: CompileOptions


def read_files(paths: Iterable[Path]) -> Given:
    """Manifests in files and folders; ``-`` is standard input. Raises CannotReadError for a path that is not there, and
    if there is nothing at all to read: a command before the pipe that failed is not to look like a clean cluster."""
    folder = Folder()
    roots = []
    for path in paths:
        if path == STDIN:
            data = sys.stdin.buffer.read(MAX_FILE + 1)
            if not data.strip():
                raise CannotReadError("standard input is empty: nothing was judged")
            folder.put("stdin.json" if data.lstrip().startswith(b"{") else "stdin.yaml", data)
        elif path.exists():
            roots.append(path)
        else:
            raise CannotReadError(f"{path}: no such file or folder")
    files = sorted(scan(tuple(roots)))
    if not files and not folder.files:
        places = ", ".join(map(str, roots))
        raise CannotReadError(f"{places}: no file {', '.join(f'*{suffix}' for suffix in SUFFIXES)} there")
    for file in files:
        try:
            folder.put(file, Path(file).read_bytes())
        except OSError as error:
            folder.fail(file, error.strerror or str(error))
    changes, found = folder.changes()
    return Given(tuple(value for _, value in changes if value is not None), found)


async def read_cluster(values: Mapping[str, Any]) -> Given:
    """What the watcher would read from the API server that the options mean. Raises CannotReadError."""
    client = Client(values["kubeconfig"], values["context"])
    read: list[Value] = []
    found: dict[str, tuple[Diagnostic, ...]] = {}
    try:
        await client.connect()
        for spec in KINDS:
            for scope in scopes_of(spec, _watcher_options(values)):
                read.extend(await _listed(client, spec, scope))
    except (ApiError, ConfigError) as error:
        raise CannotReadError(str(error)) from None
    finally:
        await client.close()
    return Given(tuple(read), found)


def _watcher_options(values: Mapping[str, Any]) -> WatcherOptions:
    """What decides which collections are read; the rest has no meaning here."""
    names = (
        "configmap",
        "default_ssl_certificate",
        "default_backend_service",
        "watch_namespace",
        "tcp_services_configmap",
        "udp_services_configmap",
    )
    nowhere = Path(os.devnull)
    return WatcherOptions(
        bus=BusOptions(servers=(), name="offline"),
        instance="offline",
        name="offline",
        state=nowhere,
        sealing_key=nowhere,
        objects_key=nowhere,
        **{name: values[name] for name in names},
    )


class _Meta(Struct):
    continue_: str | None = msgspec.field(name="continue", default=None)


class _List(Struct):
    metadata: _Meta = msgspec.field(default_factory=_Meta)
    items: list[msgspec.Raw] | None = None


async def _listed(client: Client, spec: KindSpec, scope: Scope) -> list[Value]:
    values: list[Value] = []
    params = {**scope.selectors(), "limit": PAGE}
    while True:
        page = msgspec.json.decode(await client.get(scope.path(spec), params), type=_List)
        for raw in page.items or ():
            try:
                value = spec.read(bytes(raw)).value
            except (msgspec.MsgspecError, UnicodeDecodeError, TrimError):
                continue  # as the watcher: an object that cannot be read is passed over
            if value is not None:
                values.append(value)
        if not page.metadata.continue_:
            return values
        params["continue"] = page.metadata.continue_


def compile_given(given: Given, options: CompileOptions) -> Compiled:
    """Compile what was read. A folder of an application alone lacks much that a cluster has: an IngressClass and the
    controller's ConfigMap are found or assumed, and what is lacking is said."""
    notes: list[str] = []
    values = list(given.values)
    if not options.configmap:
        usual = [
            value for value in values if isinstance(value, ConfigMap) and value.name in USUAL_CONFIGMAPS and value.data
        ]
        if len(usual) == 1:
            name = f"{usual[0].namespace}/{usual[0].name}"
            options = msgspec.structs.replace(options, configmap=name)
            notes.append(f"The ConfigMap {name} is taken for the controller's (--configmap says otherwise).")
    if not any(isinstance(value, IngressClass) for value in values):
        values.append(IngressClass(options.ingress_class, options.controller_class))
        notes.append(f"No IngressClass was given: the class {options.ingress_class} is taken for ours.")
    lacking = frozenset(
        kind
        for kind, type_ in (("service", Service), ("secret", RawSecret), ("endpointslice", EndpointSlice))
        if not _any(values, type_)
    )
    for kind in sorted(lacking - {"endpointslice"}):
        notes.append(f"No {kind.capitalize()} was given: whether those that are named exist is not judged.")
    compiler = Compiler(options)
    for value in _sealed(values, options):
        compiler.change(key_of(value), value)
    compiler.compile()
    ingresses = tuple(value for value in values if isinstance(value, Ingress))
    return Compiled(compiler, ingresses, given.found, lacking, tuple(notes), options)


def records_of(compiled: Compiled) -> list[ResourceRecord]:
    """What an edge would serve. Where no EndpointSlice was given, each Upstream gets an endpoint of documentation's
    addresses: what a request comes to should not hang on what a folder of manifests never has."""
    records = compiled.compiler.records()
    if "endpointslice" not in compiled.lacking:
        return records
    return [
        record if record.kind != "upstream" else record_of(record.name, Upstream((Endpoint(PLACEHOLDER, 80),)))
        for record in records
    ]


def _any(values: Iterable[Value], type_: type[Any]) -> bool:
    return any(isinstance(value, type_) for value in values)


def _sealed(values: Iterable[Value], options: CompileOptions) -> Iterable[Object]:
    """The objects as they would cross the bus: only the Secrets that something refers to."""
    sealer = Sealer("offline", [("00" * 8, os.urandom(32))])
    wanted: set[ObjectKey] = set(
        references_of_flags(configmap=options.configmap, default_ssl_certificate=options.default_ssl_certificate)
    )
    for value in values:
        if isinstance(value, Ingress):
            wanted |= references_of(value)
        elif isinstance(value, ConfigMap) and f"{value.namespace}/{value.name}" == options.configmap:
            wanted |= references_of_configmap(value.data, value.namespace)
    for value in values:
        if not isinstance(value, RawSecret):
            yield value
        elif key_of_value(value) in wanted:
            sealed: Secret = seal_secret(value, sealer, None)
            yield sealed
