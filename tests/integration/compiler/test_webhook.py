"""The webhook over real TLS: what it reads, how much of it, and with which certificate."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from proto.objects import Ingress
from services.compiler import webhook
from services.compiler.core.review import Reviewed
from services.compiler.options import WebhookOptions
from services.compiler.webhook import MAX_BODY, Webhook
from services.runtime.settings import HostPort, SettingsError
from tests.support.manifests import ingress
from tests.support.pairs import make_pair, pem, pem_key
from tests.support.waiting import eventually
from tests.unit.compiler.test_reviews import body


def write_pair(folder: Path, *names: str) -> WebhookOptions:
    certificate, key = make_pair(*names)
    (folder / "tls.crt").write_bytes(pem(certificate))
    (folder / "tls.key").write_bytes(pem_key(key))
    return WebhookOptions(address=HostPort("127.0.0.1", 0), certificate=folder / "tls.crt", key=folder / "tls.key")


class Running:
    """A webhook on a port of its own. ``ready``: what it says of itself."""

    def __init__(self, folder: Path) -> None:
        self.ready = True
        self.webhook = Webhook(write_pair(folder, "first.example"), self.judge, lambda: self.ready)
        self.port = 0

    def judge(self, found: Ingress) -> Reviewed:
        return Reviewed("" if found.name == "good" else "no")

    async def post(self, data: bytes, path: str = "/networking/v1/ingresses") -> tuple[int, str]:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"https://127.0.0.1:{self.port}{path}", data=data, ssl=context) as answer,
        ):
            return answer.status, await answer.text()


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[Running]:
    made = Running(folder)
    made.port = (await made.webhook.start()).port
    try:
        yield made
    finally:
        await made.webhook.close()


@pytest.fixture
async def hook(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path) as made:
        yield made


async def test_verdicts(hook: Running) -> None:
    for name, allowed in (("good", True), ("bad", False)):
        status, text = await hook.post(body(ingress(name, "shop", "x.example")))
        assert status == 200
        assert json.loads(text)["response"]["allowed"] is allowed
    assert (await hook.post(body(None), path="/"))[0] == 200


async def test_nothing_is_judged_before_it_can_be(hook: Running) -> None:
    hook.ready = False
    assert (await hook.post(body(ingress("bad", "shop", "x.example"))))[0] == 503


async def test_what_is_no_review_is_a_bad_request(hook: Running) -> None:
    assert (await hook.post(b"{}"))[0] == 400
    assert (await hook.post(os.urandom(10_000)))[0] == 400


async def test_large_reviews_are_read_and_larger_ones_are_not(hook: Running) -> None:
    large = ingress("good", "shop", "x.example", annotations={"note": "x" * 4_000_000})
    status, text = await hook.post(body(large, oldObject=large))
    assert (status, json.loads(text)["response"]["allowed"]) == (200, True)
    for size in (MAX_BODY + 1, 9 * 1024 * 1024):
        assert (await hook.post(bytes(size)))[0] == 413


async def test_a_body_of_unknown_length_is_cut_off_too(hook: Running) -> None:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    reader, writer = await asyncio.open_connection("127.0.0.1", hook.port, ssl=context)
    writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    piece = b"%x\r\n%b\r\n" % (1_000_000, bytes(1_000_000))
    for _ in range(10):
        writer.write(piece)
    writer.write(b"0\r\n\r\n")
    assert b" 413 " in await reader.readline()
    writer.close()


async def test_a_renewed_certificate_is_taken_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "LOOK_EVERY", 0.01)
    async with running(tmp_path) as hook:

        async def shown() -> str:
            return await asyncio.to_thread(ssl.get_server_certificate, ("127.0.0.1", hook.port))

        first = await shown()
        (tmp_path / "tls.crt").write_text("not a certificate")
        await asyncio.sleep(0.05)  # several looks at a pair that cannot be used
        assert await shown() == first
        write_pair(tmp_path, "second.example")
        renewed = (tmp_path / "tls.crt").read_text()

        async def is_renewed() -> bool:
            return await shown() == renewed

        await eventually(is_renewed)


async def test_what_cannot_be_used_is_named(tmp_path: Path) -> None:
    options = write_pair(tmp_path, "x.example")
    options.key.write_text("nothing")
    with pytest.raises(SettingsError, match=r"--validating-webhook-certificate .*tls\.crt, --validating-webhook-key"):
        await Webhook(options, lambda _: Reviewed(), lambda: True).start()
