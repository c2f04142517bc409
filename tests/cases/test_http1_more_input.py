"""More bad and odd requests, made up here (``http1_more_input.yaml``), each in one write, byte by byte and over TLS.

As the cases of ``http1_bad_input.yaml``, but all of one class are sent to one edge in turn: whatever one of them does
to it, the next would show.
"""

from __future__ import annotations

import pytest

from tests.cases.bad_input import MORE, Case, Mode, load
from tests.cases.outcomes import judge
from tests.cases.recorder import Recorder, origins
from tests.cases.test_http1_bad_input import MODES, bystander, play, records, unharmed
from tests.support.edge import edge


def classes() -> list[str]:
    """The classes that the ids begin with."""
    return sorted({case.id.partition("-")[0] for case in load(MORE).cases})


def cases_of(name: str, mode: Mode) -> list[Case]:
    """The cases of a class; a body of a megabyte takes too long byte by byte."""
    limit = 1 << 20 if mode == "bytes" else 1 << 30
    return [case for case in load(MORE).cases if case.id.startswith(f"{name}-") and len(case.data) < limit]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", classes())
async def test_class(name: str, mode: Mode) -> None:
    cases = cases_of(name, mode)
    recorder = Recorder()
    services = [path["service"] for path in cases[0].routes] or ["web"]
    failed = []
    async with origins(recorder, *services) as ports, edge(*records(cases[0], ports)) as running:
        port = running.https if mode == "tls" else running.http
        async with bystander(running.http, services[-1], b"") as asked:
            for case in cases:
                recorder.forget()
                try:
                    judge(case, await play(case, mode, port, recorder))
                except (AssertionError, TimeoutError) as error:
                    failed.append(f"{case.id} {case.title}: {error!r}")
        assert asked
        assert not failed, "\n".join(failed)
        await unharmed(running, recorder, services[-1], b"")


def test_the_cases_are_many_and_told_apart() -> None:
    cases = load(MORE).cases
    assert len({case.id for case in cases}) == len(cases) > 500
    assert {case.id for case in load().cases}.isdisjoint(case.id for case in cases)
    for name in classes():
        assert len({str(case.routes) for case in cases if case.id.startswith(f"{name}-")}) == 1
