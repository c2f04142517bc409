"""The world of one case: its objects in the compile, an edge on real sockets that serves the result, pods behind it."""

from __future__ import annotations

import asyncio
import copy
import json
import re
import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography import x509

from proto.objects import Kind, ObjectKey, key_of
from services.cli.nginx_flags import separate
from services.compiler.core.compiler import Compiler
from services.compiler.core.options import CompileOptions
from services.edge.core.generation import Generation
from services.edge.listener import Listener, Listeners
from services.edge.resolve import ExternalNames
from services.edge.serving import Serving
from services.watcher.observed import RawSecret
from services.watcher.secrets import seal_secret
from services.watcher.sources.folder.documents import read_json
from tests.cases.calls import SERVICE as CALLED
from tests.cases.calls import CallPod
from tests.cases.pods import Arrival, Pod, outside
from tests.cases.semantics import Case, filled
from tests.support.edge import SEALER, bound, no_verification
from tests.support.manifests import Manifest, ingress_class, secret
from tests.support.pairs import Key, make_pair, pem, pem_key, rsa_key

NAMESPACE = "cases"
CONFIGMAP = "limen/settings"
NOT_MADE = re.compile(r"nonexistent|invalid|external-|unavailable-")
"""Services that the cases name in order that they be missing, or describe themselves."""
BCRYPT = {"bar": "$2y$04$abcdefghijklmnopqrstuuEnktNu4dNa/sMz6nY.lAbxawdTTajT2"}
Pair = tuple[x509.Certificate, Key]


@dataclass
class World:
    """``told``: the ports that the edge's listeners take themselves for. ``external``: what DNS would say."""

    case: Case
    folder: Path
    compiler: Compiler
    serving: Serving
    told: dict[str, int]
    listeners: list[Listener] = field(default_factory=list)
    ports: dict[str, int] = field(default_factory=dict)
    arrived: list[Arrival] = field(default_factory=list)
    mirrored: list[Arrival] = field(default_factory=list)
    pods: dict[str, list[Pod]] = field(default_factory=dict)
    helpers: list[Pod] = field(default_factory=list)
    external: dict[str, str] = field(default_factory=dict)
    saved_cookies: dict[str, str] = field(default_factory=dict)
    saved_pod: Pod | None = None
    _names: ExternalNames = field(default_factory=ExternalNames)
    _service_ports: dict[str, dict[str, int]] = field(default_factory=dict)
    _authority: Pair | None = None

    # --- objects ------------------------------------------------------------------------------------------------

    def apply(self, kind: str, name: str, **fields: Any) -> None:
        """Create or replace an object, through the reader and the trimming of the folder source."""
        versions = {"Ingress": "networking.k8s.io/v1", "EndpointSlice": "discovery.k8s.io/v1"}
        meta = {"namespace": NAMESPACE, "name": name, **fields.pop("metadata", {})}
        self.apply_manifest({"apiVersion": versions.get(kind, "v1"), "kind": kind, "metadata": meta, **fields})

    def apply_manifest(self, manifest: Manifest) -> None:
        document = read_json(json.dumps(manifest).encode())
        assert not document.mistakes, (manifest, document.mistakes)
        for found in document.found:
            value = found.value
            taken = seal_secret(value, SEALER, None) if isinstance(value, RawSecret) else value
            self.compiler.change(key_of(taken), taken)

    def remove(self, kind: Kind, name: str) -> None:
        self.compiler.change(ObjectKey(kind, NAMESPACE, name), None)

    def apply_ingress(self, number: int) -> None:
        """The case's Ingress of that number as it is now; the earlier ones are older."""
        manifest = copy.deepcopy(self.case.ingresses[number])
        manifest["metadata"] |= {"namespace": NAMESPACE, "creationTimestamp": f"2024-01-01T00:{number:02}:00Z"}
        self.apply_manifest(manifest)

    def swap(self) -> None:
        """Compile what changed and put it in force."""
        compiled = self.compiler.compile()
        before = self.serving.generation
        version = before.version + 1 if before is not None else 1
        upserts, removals = compiled.upserts, compiled.removals
        if before is None:
            after = Generation.first(self.compiler.records(), 1, version, self.compiler.digest)
        else:
            after = before.next(upserts, removals, 1, version, self.compiler.digest)
        self._names.take(upserts, removals)
        for name in self._names.names() & self.external.keys():
            self.serving.resolved(name, (self.external[name],))
        self.serving.swap(after)

    # --- Services and their pods --------------------------------------------------------------------------------

    async def make_service(self, name: str, ports: Iterable[int | str], replicas: int) -> None:
        """A Service with these ports (numbers or names), each leading to all of its pods."""
        numbers = {port if isinstance(port, str) else f"p{port}": port for port in ports}
        taken = {number for number in numbers.values() if isinstance(number, int)}
        free = (port for port in range(80, 65536) if port not in taken)
        table = {key: port if isinstance(port, int) else next(free) for key, port in numbers.items()}
        self._service_ports[name] = table
        self.apply_service(name)
        self.pods[name] = []
        await self.scale(name, replicas)

    async def scale(self, name: str, replicas: int) -> None:
        """Add or remove pods; each stands in a slice of its own."""
        pods = self.pods[name]
        while len(pods) < replicas:
            kind = CallPod if name == CALLED else Pod
            pod = await kind(name, self.arrived).start()
            pods.append(pod)
            self.apply_slice(name, len(pods))
        while len(pods) > replicas:
            self.remove("endpointslice", f"{name}-{len(pods)}")
            pods.pop().stop()

    def apply_slice(self, name: str, number: int, **said: Any) -> None:
        """The slice of a Service's pod of that number (from 1); ``said``: what its endpoint has besides."""
        pod = self.pods[name][number - 1]
        self.apply(
            "EndpointSlice",
            f"{name}-{number}",
            metadata={"labels": {"kubernetes.io/service-name": name}},
            addressType="IPv4",
            ports=[{"name": key, "port": pod.port, "protocol": "TCP"} for key in self._service_ports[name]],
            endpoints=[{"addresses": [pod.address], "conditions": {"ready": True}, **said}],
        )

    def apply_service(self, name: str, **metadata: Any) -> None:
        """A Service as it was made, with this metadata."""
        table = self._service_ports[name]
        listed = [{"name": key, "port": port, "targetPort": 8080} for key, port in table.items()]
        self.apply("Service", name, metadata=metadata, spec={"clusterIP": "10.96.0.10", "ports": listed})

    def only_service(self) -> str:
        names = [name for name in self.pods if name != "echo"] or ["echo"]
        assert len(names) == 1, names
        return names[0]

    async def make_external(self, name: str, host: str) -> None:
        """An ExternalName Service, and a server behind its host."""
        self.external[host] = (await self._help(await outside("outside", self.arrived))).address
        self.apply("Service", name, spec={"type": "ExternalName", "externalName": host})

    async def _help(self, pod: Pod) -> Pod:
        self.helpers.append(pod)
        return pod

    # --- Secrets ------------------------------------------------------------------------------------------------

    def make_tls_secret(self, name: str, hosts: list[str]) -> None:
        key = rsa_key() if "RSA" in self.case.configmap.get("ssl-ciphers", "") else None
        self.apply_manifest(secret(name, NAMESPACE, _pair_data(make_pair(*hosts, key=key, common_name=hosts[0]))))

    def _make_secret(self, entry: dict[str, Any]) -> None:
        """A Secret as the case describes it, in words or data."""
        name, make = entry["name"], entry.get("make", "")
        if found := re.fullmatch(r"htpasswd (\w+):(\w+) under key (\w+)", make):
            data = {found[3]: f"{found[1]}:{BCRYPT[found[2]]}\n"}
        elif make.startswith("CA, server pair"):
            pairs = _pair_data(make_pair(name, common_name=name)) | {"ca.crt": pem(self.authority[0])}
            self.apply_manifest(secret(name, NAMESPACE, pairs))
            return
        elif make:
            raise AssertionError(f"no Secret can be made as {make!r}")
        else:
            fill = re.compile(r"<bcrypt of (\w+)>")
            data = {key: fill.sub(lambda word: BCRYPT[word[1]], text) for key, text in entry["data_plain"].items()}
        encoded = {key: text.encode() for key, text in data.items()}
        self.apply_manifest(secret(name, NAMESPACE, encoded) | {"type": "Opaque"})

    @property
    def authority(self) -> Pair:
        """Who signs the certificates of clients."""
        self._authority = self._authority or make_pair(common_name="clients", ca=True)
        return self._authority

    def client_context(self, *, certificate: bool) -> ssl.SSLContext:
        """What a client speaks TLS with; ``certificate``: it has one, with the common name authtls."""
        context = no_verification()
        if certificate:
            pair = make_pair(common_name="authtls", issuer=self.authority)
            file = self.folder / "client.pem"
            file.write_bytes(pem_key(pair[1]) + pem(pair[0]))
            context.load_cert_chain(file)
        return context

    # --- the beginning and the end ------------------------------------------------------------------------------

    async def prepare(self) -> None:
        """Everything that the case needs, served."""
        auth = await self._help(await Pod("auth", []).start())
        mirror = await self._help(await Pod("mirror", self.mirrored).start())
        values = {
            "NAMESPACE": NAMESPACE,
            "AUTH_IP": f"127.0.0.1:{auth.port}",
            "AUTH_HOST": f"127.0.0.1:{auth.port}",
            "MIRROR": f"127.0.0.1:{mirror.port}",
            "NIP_HOST": "nip.example",
        }
        self.case = case = filled(self.case, values)
        self.apply_manifest(ingress_class())
        data = {"strict-validate-path-type": "false", **case.configmap}
        namespace, _, name = CONFIGMAP.partition("/")
        self.apply("ConfigMap", name, metadata={"namespace": namespace}, data=data)
        for entry in case.objects:
            await self._make_object(entry)
        if "missing" not in case.title:
            self._make_tls_secrets()
        found = re.search(r"(\d+) replicas", " ".join(case.setup))
        for service, ports in _references(case.ingresses).items():
            if not NOT_MADE.match(service):
                await self.make_service(service, ports, int(found[1]) if found else 1)
        for number in range(len(case.ingresses)):
            self.apply_ingress(number)
        self.swap()
        for scheme, told in self.told.items():
            listener = Listener(self.serving, told, scheme == "https")
            listening = bound()
            await listener.open(listening)
            self.listeners.append(listener)
            self.ports[scheme] = listening.getsockname()[1]

    async def _make_object(self, entry: dict[str, Any]) -> None:
        kind, name = entry["kind"], entry["name"]
        if kind == "Secret":
            self._make_secret(entry)
        elif kind == "ConfigMap":
            self.apply(kind, name, data=entry["data"])
        elif kind == "Service":
            spec = {key: value for key, value in entry.items() if key not in ("kind", "name")}
            host = spec.get("externalName", "")
            if host and not host.startswith("invalid"):
                await self.make_external(name, host)
            self.apply(kind, name, spec=spec)
        else:
            raise AssertionError(f"no {kind} can be made")

    def _make_tls_secrets(self) -> None:
        named = {entry["name"] for entry in self.case.objects if entry["kind"] == "Secret"}
        for ingress in self.case.ingresses:
            for entry in ingress["spec"].get("tls") or []:
                if entry.get("secretName") and entry["secretName"] not in named:
                    self.make_tls_secret(entry["secretName"], entry["hosts"])

    async def close(self) -> None:
        await Listeners(self.listeners).drain(0)
        for pod in [*self.helpers, *(pod for pods in self.pods.values() for pod in pods)]:
            pod.stop()


def _pair_data(pair: Pair) -> dict[str, bytes]:
    return {"tls.crt": pem(pair[0]), "tls.key": pem_key(pair[1])}


def _references(ingresses: Iterable[Manifest]) -> dict[str, set[int | str]]:
    """The ports (numbers or names) of each Service that the Ingresses lead to; echo is always there."""
    found: dict[str, set[int | str]] = {"echo": {80}}
    for ingress in ingresses:
        spec = ingress["spec"]
        paths = [path for rule in spec.get("rules") or [] for path in (rule.get("http") or {}).get("paths") or []]
        for backend in [spec.get("defaultBackend") or {}, *(path["backend"] for path in paths)]:
            if "service" in backend:
                port = backend["service"]["port"]
                found.setdefault(backend["service"]["name"], set()).add(port.get("number") or port["name"])
    return found


def _options(flags: Iterable[str]) -> tuple[CompileOptions, dict[str, int]]:
    """(what flags say to the compile, the ports that they say the edge listens on)."""
    told = {"http": 80, "https": 443}
    values: dict[str, Any] = {"configmap": CONFIGMAP}
    left = []
    for flag in flags:
        port = re.fullmatch(r"--(https?)-port=(\d+)", flag)
        if port:
            told[port[1]] = int(port[2])
        else:
            left.append(flag)
    for flag in separate(left)[0]:
        name, equals, value = flag.lstrip("-").partition("=")
        values[name.replace("-", "_")] = value if equals else True
    assert values.keys() <= set(CompileOptions.__struct_fields__), values
    return CompileOptions(**values), told


@asynccontextmanager
async def world(case: Case, folder: Path) -> AsyncIterator[World]:
    """The world of ``case``, as it is before its first request."""
    options, told = _options(case.flags)
    made = World(case, folder, Compiler(options), Serving(asyncio.get_running_loop(), SEALER, folder), told)
    try:
        await made.prepare()
        yield made
    finally:
        await made.close()
