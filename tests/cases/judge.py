"""What the behaviour cases expect, one check for each field. A field without a check fails: nothing passes unjudged."""

from __future__ import annotations

import datetime
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

from tests.cases.asking import Answer, Exchange, ask
from tests.cases.pods import Arrival
from tests.cases.world import World
from tests.support.waiting import eventually

_OF_THE_REQUEST = frozenset({"body", "body_bytes"})


async def judge(world: World, expected: dict[str, Any], exchanges: list[Exchange]) -> None:
    """Raise AssertionError for the first field of ``expected`` that does not hold."""
    answers = [exchange.answer for exchange in exchanges]
    arrived = [arrival for exchange in exchanges for arrival in exchange.arrived]
    for name, wanted in expected.items():
        if name in _OF_THE_REQUEST:
            continue
        if name in OF_ANSWER:
            for answer in answers:
                OF_ANSWER[name](answer, wanted)
        elif name in OF_ARRIVALS:
            assert len(exchanges) == 1 or all(exchange.arrived for exchange in exchanges) or name != "service"
            OF_ARRIVALS[name](arrived, wanted)
        elif name == "upstream":
            assert arrived, "nothing reached a pod"
            for arrival in arrived:
                for part, value in wanted.items():
                    OF_UPSTREAM[part](arrival, value)
        elif name == "status_counts":
            assert Counter(str(answer.status) for answer in answers) == Counter(wanted)
        else:
            await OF_WORLD[name](world, wanted, exchanges[-1])


def fields_without_check(expected: dict[str, Any]) -> set[str]:
    """Names under ``expected`` that nothing here looks at."""
    known = _OF_THE_REQUEST | OF_ANSWER.keys() | OF_ARRIVALS.keys() | OF_WORLD.keys() | {"upstream", "status_counts"}
    unknown = set(expected) - known
    unknown |= {f"upstream.{name}" for name in expected.get("upstream", {}) if name not in OF_UPSTREAM}
    return unknown | {f"tls.{name}" for name in expected.get("tls", {}) if name not in OF_TLS}


# --- answers


def _status(answer: Answer, wanted: int) -> None:
    assert answer.status == wanted, answer.reply.head


def _status_range(answer: Answer, wanted: list[int]) -> None:
    assert wanted[0] <= answer.status <= wanted[1], answer.reply.head


def _response_headers(answer: Answer, wanted: dict[str, str]) -> None:
    for name, value in wanted.items():
        got = ", ".join(answer.values(name))
        assert re.sub(r"\s*,\s*", ",", got) == re.sub(r"\s*,\s*", ",", value), (name, got)


def _response_headers_absent(answer: Answer, unwanted: list[str]) -> None:
    for name in unwanted:
        assert not answer.values(name), name


def _response_header_count(answer: Answer, wanted: dict[str, int]) -> None:
    for name, count in wanted.items():
        assert len(answer.values(name)) == count, (name, answer.values(name))


def _set_cookie_present(answer: Answer, name: str) -> None:
    assert name in answer.cookies


def _set_cookie_absent(answer: Answer, name: str) -> None:
    assert not answer.cookies if name == "*" else name not in answer.cookies


def _set_cookie_contains(answer: Answer, wanted: str) -> None:
    text = " | ".join(answer.values("Set-Cookie"))
    if within := re.match(r"Expires=<now \+ (\d+) h", wanted):
        _expires_in(text, int(within[1]))
    else:
        assert wanted in text


def _expires_in(text: str, hours: int) -> None:
    found = re.search(r"Expires=\w+, (\d\d)[ -](\w{3})[ -](?:20)?(\d\d) (\d\d:\d\d)", text, re.IGNORECASE)
    assert found, text
    at = datetime.datetime.strptime(" ".join(found.groups()), "%d %b %y %H:%M").replace(tzinfo=datetime.UTC)
    off = at - datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=hours)
    assert abs(off) < datetime.timedelta(minutes=2), off


def _set_cookie_contains_all(answer: Answer, wanted: list[str]) -> None:
    for part in wanted:
        _set_cookie_contains(answer, part)


def _tls(answer: Answer, wanted: dict[str, Any]) -> None:
    for name, value in wanted.items():
        assert OF_TLS[name](answer) == value, name


def _grpc_status(answer: Answer, wanted: int) -> None:
    assert answer.call is not None
    assert answer.call.value[0] == wanted, answer.call


def _grpc_error(answer: Answer, wanted: bool) -> None:
    assert answer.call is not None
    assert (answer.call.value[0] != 0) is wanted, answer.call


OF_ANSWER: dict[str, Callable[[Answer, Any], None]] = {
    "grpc_status": _grpc_status,
    "grpc_error": _grpc_error,
    "status": _status,
    "status_range": _status_range,
    "response_headers": _response_headers,
    "response_headers_absent": _response_headers_absent,
    "response_header_count": _response_header_count,
    "set_cookie_present": _set_cookie_present,
    "set_cookie_absent": _set_cookie_absent,
    "set_cookie_contains": _set_cookie_contains,
    "set_cookie_contains_all": _set_cookie_contains_all,
    "tls": _tls,
}
OF_TLS: dict[str, Callable[[Answer], Any]] = {
    "leaf_first_dns_name": lambda answer: answer.names[0],
    "chain_length": lambda answer: len(answer.chain),
    "version": lambda answer: answer.tls.version() if answer.tls else None,
    "cipher": lambda answer: (answer.tls.cipher() or ("",))[0] if answer.tls else None,
}


# --- what reached the pods


def _service(arrived: list[Arrival], wanted: str) -> None:
    assert arrived, "nothing reached a pod"
    assert {arrival.pod.service for arrival in arrived} == {wanted}


def _upstream_requests(arrived: list[Arrival], wanted: int) -> None:
    assert len(arrived) == wanted


def _share_min(arrived: list[Arrival], wanted: dict[str, float]) -> None:
    counts = Counter(arrival.pod.service for arrival in arrived)
    assert all(counts[name] >= share * len(arrived) for name, share in wanted.items()), counts


OF_ARRIVALS: dict[str, Callable[[list[Arrival], Any], None]] = {
    "service": _service,
    "upstream_requests": _upstream_requests,
    "share_min": _share_min,
}


def _upstream_path(arrival: Arrival, wanted: str) -> None:
    assert arrival.path == wanted


def _upstream_host(arrival: Arrival, wanted: str) -> None:
    assert arrival.values("Host") == [wanted]


def _upstream_proto(arrival: Arrival, wanted: str) -> None:
    assert arrival.proto == wanted


def _upstream_headers(arrival: Arrival, wanted: dict[str, str]) -> None:
    for name, value in wanted.items():
        assert ", ".join(arrival.values(name)) == value, name


def _upstream_not_headers(arrival: Arrival, unwanted: dict[str, str]) -> None:
    for name, value in unwanted.items():
        assert value not in arrival.values(name), name


def _upstream_header_prefix(arrival: Arrival, wanted: dict[str, str]) -> None:
    for name, prefix in wanted.items():
        assert [value.startswith(prefix) for value in arrival.values(name)] == [True], name


OF_UPSTREAM: dict[str, Callable[[Arrival, Any], None]] = {
    "path": _upstream_path,
    "host": _upstream_host,
    "proto": _upstream_proto,
    "headers": _upstream_headers,
    "not_headers": _upstream_not_headers,
    "header_prefix": _upstream_header_prefix,
}


# --- what needs the world around


async def _mirror_sees(world: World, wanted: dict[str, str], _exchange: Exchange) -> None:
    await eventually(lambda: world.mirrored and world.mirrored[-1].seen.complete, what="the mirror's copy")
    copy = world.mirrored[-1]
    got = {"path": copy.path, "body": copy.seen.body.decode("latin-1")}
    assert {name: got[name] for name in wanted} == wanted


async def _save_cookie(world: World, name: str, exchange: Exchange) -> None:
    world.saved_cookies[name] = exchange.answer.cookies[name]


async def _endpoints_used(world: World, wanted: str, _exchange: Exchange) -> None:
    """The case only says the rule: each pod is hinted for a zone, then one of them for none."""
    assert wanted == "only those hinted for the own zone, all if any endpoint lacks a hint"
    service = world.only_service()
    world.serving.pools.zone = "zone-2"
    world.apply_service(service, annotations={"service.kubernetes.io/topology-mode": "Auto"})
    for used, hinted in (({2}, (1, 2)), ({1, 2}, (2,))):
        for number in (1, 2):
            hints = {"hints": {"forZones": [{"name": f"zone-{number}"}]}} if number in hinted else {}
            world.apply_slice(service, number, **hints)
        world.swap()
        exchanges = await ask(
            world, world.case.requests[0] | {"request": world.case.requests[0]["request"] | {"count": 6}}
        )
        pods = {arrival.pod for exchange in exchanges for arrival in exchange.arrived}
        assert pods == {world.pods[service][number - 1] for number in used}


OF_WORLD: dict[str, Callable[[World, Any, Exchange], Any]] = {
    "endpoints_used": _endpoints_used,
    "mirror_sees": _mirror_sees,
    "save_cookie": _save_cookie,
}
