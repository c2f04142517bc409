"""What would be larger than the bus takes is cut or left out, and holds up nothing else."""

from __future__ import annotations

from proto.diagnostics import Diagnostic
from proto.events import EdgeJoined, IngressRejected
from proto.objects import ObjectKey
from proto.reports import RoleStatus
from proto.subjects import Subjects
from services.runtime.announce import RETRY_AFTER, TRIES, EventPublisher
from services.runtime.bus import Bus, BusOptions, StreamSpec
from services.runtime.status import answer_status, gather_status
from tests.support.nats import NatsServer
from tests.support.waiting import eventually

SUBJECTS = Subjects("large")
LONG = tuple(
    Diagnostic(ObjectKey("ingress", "shop", f"web-{number}"), "internal-error", "error", "", "", "x" * 4000)
    for number in range(900)
)


async def test_a_status_is_cut_to_what_the_bus_takes(nats: NatsServer) -> None:
    bus = Bus(BusOptions(servers=(nats.url,), name="compiler"))
    await bus.start()
    await bus.wait_connected()
    status = RoleStatus(role="compiler", name="c", software="0", started_at=1.0, ready=True, diagnostics=LONG)
    await answer_status(bus, SUBJECTS, lambda: status)
    (found,) = await gather_status(bus, SUBJECTS, timeout=5, at_most=1)
    assert 100 < len(found.diagnostics) < len(LONG)
    assert found.diagnostics == LONG[: len(found.diagnostics)]
    await bus.close()


async def test_an_event_that_is_too_large_takes_no_other_along(nats: NatsServer) -> None:
    bus = Bus(BusOptions(servers=(nats.url,), name="compiler"))
    await bus.start()
    await bus.wait_connected()
    await bus.ensure_stream(StreamSpec(name=SUBJECTS.events_stream, subjects=(SUBJECTS.events,)))
    publisher = EventPublisher(bus, SUBJECTS, "/large/compiler/c")
    publisher.publish(EdgeJoined(edge="before", worker=0))
    publisher.publish(IngressRejected(namespace="shop", name="web", diagnostics=LONG))
    publisher.publish(EdgeJoined(edge="after", worker=0))

    async def both() -> bool:
        stored = await bus.range(SUBJECTS.events_stream, 1, limit=10)
        return [message.subject.rpartition(".")[2] for message in stored] == ["before-0", "after-0"]

    await eventually(both, TRIES * RETRY_AFTER / 2)
    await publisher.close()
    await bus.close()
