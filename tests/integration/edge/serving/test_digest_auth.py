"""Digest authentication on real sockets, with a client that others wrote, over both protocols."""

from __future__ import annotations

from hashlib import md5
from urllib.request import parse_http_list, parse_keqv_list

import aiohttp
import pytest

from proto.codec import record_of
from proto.policies import DigestAuth
from proto.resources import Credentials
from proto.sealing import secret_place
from tests.support.edge import HOST, NO_HTTPS, SEALER, ask, edge, host, origin, request, route, upstream
from tests.support.http2 import http2


def hashed(text: str) -> str:
    return md5(text.encode()).hexdigest()


def table(port: int) -> tuple:  # type: ignore[type-arg]
    sealed = SEALER.seal(secret_place("default", "users", "auth"), f"ann:staff:{hashed('ann:staff:right')}\n".encode())
    return (
        host(HOST, route(policies=(*NO_HTTPS, DigestAuth("default/users", "staff")))),
        upstream(port),
        record_of("default/users", Credentials(sealed_entries={"auth": sealed})),
    )


def proof(challenge: str, method: str, target: str, uses: int, password: str = "right") -> str:
    said = parse_keqv_list(parse_http_list(challenge.removeprefix("Digest ")))
    secret, asked = hashed(f"ann:{said['realm']}:{password}"), hashed(f"{method}:{target}")
    response = hashed(f"{secret}:{said['nonce']}:{uses:08x}:c:auth:{asked}")
    return (
        f'Digest username="ann", realm="{said["realm"]}", nonce="{said["nonce"]}", uri="{target}", qop=auth, '
        f'nc={uses:08x}, cnonce="c", response="{response}", algorithm=MD5'
    )


async def test_a_proof_lets_pass_once_and_goes_no_further() -> None:
    async with origin() as web, edge(*table(web.port)) as running:
        refused = await ask(running.http)
        assert refused.status == 401
        challenge = refused.value("WWW-Authenticate").decode()
        for target, uses, password, status in (
            ("/a?b", 1, "right", 200),
            ("/a?b", 1, "right", 401),
            ("/a?b", 2, "right", 200),
            ("/a?b", 3, "wrong", 401),
        ):
            line = f"Authorization: {proof(challenge, 'POST', target, uses, password)}"
            reply = await ask(running.http, request("POST", target, line, body=b"hello"))
            assert reply.status == status
            assert (b"stale=true" in reply.head) is (status == 401 and password == "right")
        assert [seen.value("Authorization") for seen in web.seen] == [b"", b""]
        async with http2(running.https) as client:
            unproved = await client.ask()
            assert unproved.status == 401
            said = proof(unproved.headers["www-authenticate"], "GET", "/x", 1)
            passed = await client.ask("GET", "/x", [("authorization", said)])
            assert passed.status == 200
            assert 'rspauth="' in passed.headers["authentication-info"]


@pytest.mark.parametrize(("password", "status"), [("right", 200), ("wrong", 401)])
async def test_a_client_that_others_wrote(password: str, status: int) -> None:
    middleware = aiohttp.DigestAuthMiddleware("ann", password)
    async with (
        origin() as web,
        edge(*table(web.port)) as running,
        aiohttp.ClientSession(middlewares=(middleware,)) as session,
    ):
        for _ in range(3):
            url = f"http://127.0.0.1:{running.http}/x?y=z"
            async with session.get(url, headers={"Host": HOST}) as answer:
                assert answer.status == status
