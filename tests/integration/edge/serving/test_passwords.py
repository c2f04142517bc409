"""Passwords on real sockets: what is asked, what the endpoint hears of it, and a change of the Secret."""

from __future__ import annotations

from base64 import b64encode

import bcrypt

from proto.codec import record_of
from proto.policies import BasicAuth
from proto.resources import Credentials, ResourceKey, ResourceRecord
from proto.sealing import secret_place
from tests.support.edge import NO_HTTPS, SEALER, ask, edge, host, origin, request, route, upstream

GUARDED = (*NO_HTTPS, BasicAuth("default/users", "staff only"))


def users(**hashes: bytes) -> ResourceRecord:
    text = b"".join(b"%b:%b\n" % (name.encode(), stored) for name, stored in hashes.items())
    sealed = SEALER.seal(secret_place("default", "users", "auth"), text)
    return record_of("default/users", Credentials(sealed_entries={"auth": sealed}))


def spoken(user: str, password: str) -> str:
    return "Authorization: Basic " + b64encode(f"{user}:{password}".encode()).decode()


async def test_a_password_lets_pass_and_goes_no_further() -> None:
    slow = bcrypt.hashpw(b"right", bcrypt.gensalt(4))
    table = (host("t.example", route(policies=GUARDED)), users(ann=slow, bob=b"{PLAIN}b"))
    async with origin() as web, edge(*table, upstream(web.port)) as running:
        refused = await ask(running.http)
        assert refused.status == 401
        assert refused.value("WWW-Authenticate") == b'Basic realm="staff only"'
        assert b"401 Authorization Required" in refused.body
        for header, status in (
            (spoken("ann", "right"), 200),
            (spoken("ann", "right"), 200),
            (spoken("ann", "wrong"), 401),
            (spoken("bob", "b"), 200),
            (spoken("eve", "b"), 401),
            ("Authorization: Bearer b", 401),
        ):
            said = await ask(running.http, request("POST", "/", header, body=b"hello"))
            assert said.status == status, header
        assert [seen.value("Authorization") for seen in web.seen] == [b""] * 3
        assert [seen.body for seen in web.seen] == [b"hello"] * 3
        running.change(users(bob=b"{PLAIN}b"))
        assert (await ask(running.http, request("GET", "/", spoken("ann", "right")))).status == 401
        running.change(removals=[ResourceKey("credentials", "default/users")])
        assert (await ask(running.http, request("GET", "/", spoken("bob", "b")))).status == 503
        assert len(web.seen) == 3
