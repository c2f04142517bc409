"""External names: resolved again and again, never lost by a failure, never pointed at the machine itself."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from proto.resources import ResourceKey
from services.edge import resolve
from services.edge.resolve import ExternalNames, Resolver
from tests.support.snapshots import upstream
from tests.support.waiting import eventually


class Names:
    """The world's name servers, as the system's resolver sees them."""

    def __init__(self) -> None:
        self.answers: dict[str, list[str]] = {}
        self.asked: list[str] = []

    def getaddrinfo(self, name: str, port: object, **_: object) -> list[tuple[object, ...]]:
        self.asked.append(name)
        if name not in self.answers:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in self.answers[name]]


class Watched:
    def __init__(self, *, allow_local: bool) -> None:
        self.changes: list[tuple[str, tuple[str, ...]]] = []
        self.resolver = Resolver(lambda *change: self.changes.append(change), allow_local=allow_local)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    names = Names()
    monkeypatch.setattr(socket, "getaddrinfo", names.getaddrinfo)
    monkeypatch.setattr(resolve, "CHECK_EVERY", 0.02)
    monkeypatch.setattr(resolve, "CHECK_EVERY_WHILE_UNKNOWN", 0.02)
    return names


@pytest.fixture
async def watched(names: Names) -> AsyncIterator[Watched]:
    watched = Watched(allow_local=False)
    task = asyncio.create_task(watched.resolver.run())
    yield watched
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_name_gets_its_addresses_sorted(names: Names, watched: Watched) -> None:
    names.answers["api.example.com."] = ["10.0.0.2", "10.0.0.1", "10.0.0.2"]
    watched.resolver.follow(["api.example.com"])
    await eventually(lambda: watched.changes)
    assert watched.changes == [("api.example.com", ("10.0.0.1", "10.0.0.2"))]
    assert watched.resolver.addresses("api.example.com") == ("10.0.0.1", "10.0.0.2")


async def test_a_change_is_noticed_and_the_same_answer_is_no_change(names: Names, watched: Watched) -> None:
    names.answers["api.example.com."] = ["10.0.0.1"]
    watched.resolver.follow(["api.example.com"])
    await eventually(lambda: len(names.asked) > 3)
    assert len(watched.changes) == 1
    names.answers["api.example.com."] = ["10.0.0.9"]
    await eventually(lambda: len(watched.changes) == 2)
    assert watched.resolver.addresses("api.example.com") == ("10.0.0.9",)


async def test_a_failure_keeps_the_last_addresses(names: Names, watched: Watched) -> None:
    names.answers["api.example.com."] = ["10.0.0.1"]
    watched.resolver.follow(["api.example.com"])
    await eventually(lambda: watched.changes)
    del names.answers["api.example.com."]
    await eventually(lambda: watched.resolver.errors())
    assert watched.resolver.addresses("api.example.com") == ("10.0.0.1",)
    assert len(watched.changes) == 1
    names.answers["api.example.com."] = ["10.0.0.1"]
    await eventually(lambda: not watched.resolver.errors())


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1", "169.254.169.254", "fe80::1", "0.0.0.0", "::"])
async def test_addresses_of_the_machine_itself_are_refused(names: Names, watched: Watched, address: str) -> None:
    names.answers["evil.example.com."] = [address, f"::ffff:{address}" if "." in address else address]
    watched.resolver.follow(["evil.example.com"])
    await eventually(lambda: watched.resolver.errors())
    assert "refused" in watched.resolver.errors()["evil.example.com"]
    assert watched.resolver.addresses("evil.example.com") == ()
    assert watched.changes == []


async def test_where_manifests_are_trusted_loopback_is_taken(names: Names) -> None:
    watched = Watched(allow_local=True)
    names.answers["localhost"] = ["127.0.0.1"]
    watched.resolver.follow(["localhost"])
    task = asyncio.create_task(watched.resolver.run())
    await eventually(lambda: watched.changes == [("localhost", ("127.0.0.1",))])
    task.cancel()


async def test_a_name_that_nobody_needs_is_forgotten(names: Names, watched: Watched) -> None:
    names.answers["api.example.com."] = ["10.0.0.1"]
    watched.resolver.follow(["api.example.com"])
    await eventually(lambda: watched.changes)
    watched.resolver.follow([])
    assert watched.resolver.addresses("api.example.com") == ()
    asked = len(names.asked)
    names.answers["other.example.com."] = ["10.0.0.2"]
    watched.resolver.follow(["other.example.com"])
    await eventually(lambda: names.asked.count("other.example.com.") > 3)
    assert "api.example.com." not in names.asked[asked + 1 :]


async def test_search_domains_are_for_short_names_only(names: Names, watched: Watched) -> None:
    watched.resolver.follow(["short", "long.example.com", "absolute.example.com.", "192.0.2.7"])
    await eventually(lambda: len(set(names.asked)) == 4)
    assert set(names.asked) == {"short", "long.example.com.", "absolute.example.com.", "192.0.2.7"}


def test_names_follow_the_upstreams_that_hold_them() -> None:
    names = ExternalNames()
    external = upstream("default/ext:80", 80, address="api.example.com", dns=True)
    assert names.take([upstream("default/plain:80", 80)], []) is False
    assert names.take([external], []) is True
    assert names.names() == {"api.example.com"}
    assert names.take([upstream("default/ext:80", 80)], []) is True
    assert names.names() == set()
    names.take([external], [])
    assert names.take([], [ResourceKey("upstream", "default/ext:80")]) is True
    assert names.names() == set()
