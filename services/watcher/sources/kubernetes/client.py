"""The Kubernetes API over HTTP: where it is and who we are through the official library, requests by our own hand.

The only module that imports ``kubernetes``: kubeconfig, in-cluster service accounts, exec plugins and token refresh are
its part. Bodies stay bytes: decoding them with the library's models costs forty times what our partial types cost.
Must not know kinds, lists or watches beyond "lines that arrive".
"""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
import time
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec
from msgspec import Struct

_log = logging.getLogger(__name__)

CONNECT_TIMEOUT: Final = 5.0
REQUEST_TIMEOUT: Final = 30.0
MAX_LINE: Final = 16 * 1024 * 1024
RELOAD_INTERVAL: Final = 5.0
SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
MERGE_PATCH: Final = "application/merge-patch+json"


class ApiError(Exception):
    """A request that failed. ``status``: the HTTP status, 0 without an answer. ``retry_after``: seconds the server
    asked us to wait, or 0."""

    def __init__(self, status: int, message: str, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.status, self.retry_after = status, retry_after


class ConfigError(Exception):
    """No usable way to reach a cluster; the message says what was tried."""


class _Status(Struct):
    message: str = ""
    reason: str = ""


class _Access(Struct, frozen=True):
    """A session with what it was made from."""

    configuration: Any
    session: aiohttp.ClientSession
    host: str


class Client:
    """One cluster. ``kubeconfig`` empty: the pod's service account if there is one, else the usual kubeconfig."""

    def __init__(self, kubeconfig: str = "", context: str = "") -> None:
        self._kubeconfig = kubeconfig
        self._context = context
        self._access: _Access | None = None
        self._loading = asyncio.Lock()
        self._loaded_at = 0.0

    async def connect(self) -> None:
        """Read the configuration; nothing is sent yet. Raises ConfigError."""
        async with self._loading:
            await self._load()

    async def close(self) -> None:
        """End all connections."""
        if self._access is not None:
            await self._access.session.close()

    async def get(self, path: str, params: Mapping[str, str] | None = None) -> bytes:
        """The body of a GET. Raises ApiError."""
        return await self._request("GET", path, params=params)

    async def send(
        self, method: str, path: str, body: bytes, content_type: str = "application/json", *, manager: str = "limen"
    ) -> bytes:
        """The body of the answer to a write. Raises ApiError."""
        headers = {"Content-Type": content_type}
        return await self._request(method, path, params={"fieldManager": manager}, body=body, headers=headers)

    async def lines(self, path: str, params: Mapping[str, str]) -> AsyncGenerator[list[bytes], None]:
        """The lines of a streamed answer, as they arrive: all complete ones at once, until the server ends it. An empty
        list comes first, when the server has agreed.

        Raises ApiError. Puts no limit on silence: that is the caller's part.
        """
        response = await self._open("GET", path, params, None, {}, aiohttp.ClientTimeout(connect=CONNECT_TIMEOUT))
        try:
            yield []
            rest = b""
            async for chunk in response.content.iter_any():
                if b"\n" not in chunk:
                    rest += chunk
                    if len(rest) > MAX_LINE:
                        raise ApiError(0, f"a line of more than {MAX_LINE} bytes")
                    continue
                *complete, rest = (rest + chunk).split(b"\n")
                yield [line for line in complete if line]
        except (aiohttp.ClientError, OSError) as error:
            raise ApiError(0, f"connection lost: {_words(error)}") from None
        finally:
            response.close()

    async def _request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT, connect=CONNECT_TIMEOUT)
        response = await self._open(method, path, params or {}, body, headers or {}, timeout)
        try:
            return await response.read()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise ApiError(0, f"{method} {path}: {_words(error)}") from None
        finally:
            response.release()

    async def _open(
        self,
        method: str,
        path: str,
        params: Mapping[str, str],
        body: bytes | None,
        headers: Mapping[str, str],
        timeout: aiohttp.ClientTimeout,
    ) -> aiohttp.ClientResponse:
        """A successful response, its body unread. A refused token is read anew once."""
        for attempt in (1, 2):
            access = self._access
            if access is None:
                raise ApiError(0, "not connected")
            try:
                response = await access.session.request(
                    method,
                    access.host + path,
                    params=params,
                    data=body,
                    headers={**headers, **await _authorization(access.configuration)},
                    timeout=timeout,
                    proxy=access.configuration.proxy or None,
                    server_hostname=access.configuration.tls_server_name or None,
                )
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                raise ApiError(0, f"{access.host}: {_words(error)}") from None
            except RuntimeError as error:
                if not access.session.closed:
                    raise
                # Fresh credentials brought a fresh session while this request waited for its token.
                raise ApiError(0, f"{access.host}: {_words(error)}") from None
            if response.status < 400:
                return response
            failure = await _failure(response, f"{method} {path}")
            if response.status == 401 and attempt == 1 and await self._reload(access):
                continue
            raise failure
        raise AssertionError("unreachable")

    async def _reload(self, refused: _Access) -> bool:
        """Read the configuration again (rotated token, exec plugin, new certificate); whether to try again."""
        async with self._loading:
            if self._access is not refused:
                return True
            if time.monotonic() - self._loaded_at < RELOAD_INTERVAL:
                return False
            try:
                await self._load()
            except ConfigError as error:
                _log.warning("cannot read the cluster's credentials again: %s", error)
                return False
            return True

    async def _load(self) -> None:
        self._loaded_at = time.monotonic()
        try:
            configuration = await asyncio.to_thread(_import_configuration)
            await _configure(configuration, self._kubeconfig, self._context)
            context = _tls_context(configuration)
        except ModuleNotFoundError as error:
            raise ConfigError(f"needs the Python package {error.name!r}: pip install 'limen[watcher]'") from None
        except Exception as error:  # the library raises many kinds, plugins any
            raise ConfigError(f"{self._kubeconfig or 'Kubernetes configuration'}: {_words(error)}") from None
        old = self._access
        connector = aiohttp.TCPConnector(limit=0, ssl=context)
        session = aiohttp.ClientSession(
            connector=connector,
            # A watch is many small pieces: compressing them costs latency on both sides.
            headers={"User-Agent": "limen-watcher", "Accept": "application/json", "Accept-Encoding": "identity"},
            trust_env=False,
        )
        self._access = _Access(configuration, session, configuration.host.rstrip("/"))
        if old is not None:
            await old.session.close()


def _import_configuration() -> Any:
    """A fresh configuration of the library, whose import takes half a second: call it in a thread."""
    from kubernetes.aio import config  # noqa: F401 - imported here, off the loop, for ``_configure``
    from kubernetes.aio.client import Configuration

    return Configuration()


async def _configure(configuration: Any, kubeconfig: str, context: str) -> None:
    from kubernetes.aio import config

    if not kubeconfig and not context and _in_cluster():
        config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        return
    usual = "" if kubeconfig else os.environ.get("KUBECONFIG", "") or "~/.kube/config"
    if not await asyncio.to_thread(_any_exists, kubeconfig or usual):  # the library would take it for an empty one
        raise ConfigError(f"there is no {usual}; name a file with --kubeconfig" if usual else "no such file")
    await config.load_kube_config(  # type: ignore[no-untyped-call]
        config_file=kubeconfig or None,
        context=context or None,
        client_configuration=configuration,
        persist_config=False,
    )


def _any_exists(kubeconfig: str) -> bool:
    return any(Path(file).expanduser().exists() for file in kubeconfig.split(os.pathsep))


def _in_cluster() -> bool:
    """Whether this is a pod with a service account."""
    return "KUBERNETES_SERVICE_HOST" in os.environ and (SERVICE_ACCOUNT / "token").exists()


def _tls_context(configuration: Any) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=configuration.ssl_ca_cert, cadata=configuration.ca_cert_data)
    # Certificate authorities of clusters often lack extensions that newer Pythons insist on; Go's clients do not.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if configuration.cert_file:
        context.load_cert_chain(configuration.cert_file, configuration.key_file)
    if not configuration.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


async def _authorization(configuration: Any) -> dict[str, str]:
    settings = (await configuration.auth_settings()).get("BearerToken")
    return {"Authorization": settings["value"]} if settings and settings.get("value") else {}


async def _failure(response: aiohttp.ClientResponse, what: str) -> ApiError:
    """The error of a response, in the server's words."""
    try:
        body = await response.read()
        text = msgspec.json.decode(body, type=_Status).message
    except (msgspec.MsgspecError, UnicodeDecodeError, aiohttp.ClientError, OSError, TimeoutError):
        text = ""
    finally:
        response.release()
    try:
        retry_after = float(response.headers.get("Retry-After", "0"))
    except ValueError:
        retry_after = 0.0
    return ApiError(response.status, f"{what}: {response.status} {text or response.reason}", retry_after)


def _words(error: BaseException) -> str:
    """An error in words that stay the same from one attempt to the next."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(error).partition("\n")[0] or type(error).__name__
