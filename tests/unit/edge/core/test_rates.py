"""How fast responses may go: nginx's arithmetic, and where it holds at all."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proto.policies import BackendProtocol, Policy, ResponseBuffering, ResponseRate
from services.edge.core.plan import Policed, plan
from services.edge.core.policies.rates import Rate
from tests.unit.edge.core.test_phases import asked, generation, route

BUFFERED = ResponseBuffering(enabled=True)


def rate(*policies: Policy, **settings: Any) -> Rate | None:
    table = generation(route(*policies), **settings)
    found = asked(table)
    decision = plan(found.host, b"/", found.question, 0)
    return decision.rate if isinstance(decision, Policed) else None


@pytest.mark.parametrize(
    ("policies", "settings", "wanted"),
    [
        ((), {}, None),
        ((), {"limit_rate": 8}, None),
        ((), {"limit_rate": 8, "proxy_buffering": True}, Rate(8192, 0)),
        ((BUFFERED,), {"limit_rate": 8, "limit_rate_after": 2}, Rate(8192, 2048)),
        ((BUFFERED, ResponseRate(16, 4)), {"limit_rate": 8}, Rate(16384, 4096)),
        ((BUFFERED, ResponseRate(16)), {"limit_rate_after": 2}, Rate(16384, 2048)),
        ((BUFFERED, ResponseRate(0)), {"limit_rate": 8}, None),
        ((BUFFERED, ResponseRate(-1)), {}, None),
        ((BUFFERED, ResponseRate(1, -1)), {}, Rate(1024, 0)),
        ((ResponseRate(16),), {}, None),
        ((BUFFERED, ResponseRate(16), BackendProtocol("grpc")), {}, None),
    ],
)
def test_where_it_holds(policies: tuple[Policy, ...], settings: dict[str, Any], wanted: Rate | None) -> None:
    assert rate(*policies, **settings) == wanted


def test_a_seconds_worth_may_go_ahead() -> None:
    limit = Rate(1000, 500)
    assert limit.allowed(0.0, 0) == 1500
    assert limit.allowed(1.0, 1500) == 1000
    assert limit.allowed(0.5, 3000) == -1000
    assert limit.wait(0.5, 3000, 250) == 1.25
    assert limit.wait(9.0, 0, 250) == 0.0


@given(st.integers(1, 10**9), st.floats(0, 1e4), st.integers(0, 10**12), st.integers(1, 10**6))
def test_after_the_wait_it_may_go(per_second: int, elapsed: float, sent: int, wanted: int) -> None:
    limit = Rate(per_second, 0)
    wait = limit.wait(elapsed, sent, wanted)
    assert limit.allowed(elapsed + wait, sent) >= wanted - 1 - (elapsed + wait) * per_second * 1e-9
