"""Requests that are blocked by their User-Agent or Referer: which, and that no other request of theirs suffers."""

from __future__ import annotations

import pytest

from proto.objects import ObjectKey
from services.contract.configmap.read import read_configmap
from services.contract.header_blocks import Blocks, entries
from services.edge.core.blocked import Blocked
from services.edge.core.forwarded import client_facts
from services.edge.core.plan import Forward, Respond, plan
from services.edge.core.prepared import prepare
from services.edge.core.request_head import RequestHeaders, read_block
from tests.unit.edge.core.test_phases import HOST, generation, route

AGENTS = "~*chrome\\/68\\.0\\ safari,AlphaBot, ~Beta, 'quoted one'"


@pytest.mark.parametrize(
    ("agent", "blocked"),
    [
        ("Mozilla Chrome/68.0 Safari/537", True),
        ("Chrome/68x0 Safari", False),
        ("AlphaBot", True),
        ("alphabot", True),
        ("AlphaBot/2", False),
        ("my Beta", True),
        ("my beta", False),
        ("Quoted One", True),
        ("", False),
    ],
)
def test_texts_as_a_whole_and_patterns_anywhere(agent: str, blocked: bool) -> None:
    known = entries(AGENTS)
    assert len(known) == 4
    assert Blocks(known).match(agent.encode()) is blocked


def test_words_are_read_as_nginx_reads_them() -> None:
    assert entries(r'"a\"b", c\\d, ~\.x,,') == ('a"b', r"c\d", r"~\.x")
    assert entries(" ") == ()


def test_a_pattern_that_takes_too_long_blocks() -> None:
    assert Blocks(("~^(?=a)(?:a|aa)+$",)).match(b"a" * 60 + b"!")


def test_a_pattern_that_cannot_be_run_closes_everything() -> None:
    key = ObjectKey("configmap", "ns", "controller")
    for name in ("block-user-agents", "block-referers"):
        bad = read_configmap(key, {name: "ok, ~(open"})
        assert bad.controller.guarded == (name,)
        assert [finding.code for finding in bad.diagnostics] == ["configmap-denied"]
    good = read_configmap(key, {"block-user-agents": AGENTS})
    assert good.settings.block_user_agents == entries(AGENTS)
    assert Blocked(("~(open",), ()).blocks(b"\r\nHost: a\r\n")


def headers(*lines: str) -> RequestHeaders:
    block = "".join(f"{line}\r\n" for line in (f"Host: {HOST}", *lines))
    found = read_block(f"\r\n{block}\r\n".encode(), 0, 1, False)
    assert found is not None
    return found


def test_a_blocked_request_on_a_connection_blocks_no_other() -> None:
    table = generation(route(), block_user_agents=("bot",), block_referers=("~evil",), ssl_redirect=False)
    facts = client_facts("192.0.2.7", 80, False)
    standing = None
    for lines, status in (
        ((), 0),
        (("User-Agent: Bot",), 403),
        ((), 0),
        (("User-Agent: other", "Referer: http://evil.example"), 403),
        (("X: bot",), 0),
    ):
        prepared = prepare(facts, headers(*lines), table, standing)
        standing = prepared.standing
        said = plan(standing.host, b"/x", standing.question, 0)
        assert (said.status if isinstance(said, Respond) else 0) == status, lines
        assert status or isinstance(said, Forward)
