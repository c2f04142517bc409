"""What a worker has counted, in the families that the admin process renders.

Must not know how it travels or how it is rendered.
"""

from __future__ import annotations

from bisect import bisect_left

from proto.codec import decode_resource
from proto.resources import Certificate, ResourceRecord
from services.edge.follow.follower import Follower
from services.edge.follow.generations import Applied, Generations
from services.edge.follow.incoming import REASONS
from services.edge.follow.keeper import Keeper
from services.edge.follow.table import Change, ResourceTable
from services.edge.process.families import LIVE_SECONDS, OWN, PREFIX, SWAP_SECONDS
from services.edge.process.front import Front
from services.edge.process.metrics import Counters, Series
from services.edge.resolve import Resolver


class Histogram:
    """Counts by bucket, one for what lies above the last bound, and the sum."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self.values = [0.0] * (len(bounds) + 2)

    def observe(self, value: float) -> None:
        """Count ``value``."""
        self.values[bisect_left(self._bounds, value)] += 1
        self.values[-1] += value


class Certificates:
    """When certificates end, by the names they are for; each is read once as long as it stays the same."""

    def __init__(self) -> None:
        self._read: dict[str, tuple[bytes, list[Series]]] = {}

    def ends(self, table: ResourceTable) -> list[Series]:
        """A series for each name of each certificate of ``table``."""
        read: dict[str, tuple[bytes, list[Series]]] = {}
        for name, body in table.bodies("certificate").items():
            known = self._read.get(name)
            read[name] = known if known is not None and known[0] is body else (body, _ends_of(name, body))
        self._read = read
        return [series for _, found in read.values() for series in found]


def _ends_of(name: str, body: bytes) -> list[Series]:
    certificate = decode_resource(ResourceRecord("certificate", name, body))
    assert isinstance(certificate, Certificate)
    namespace, _, secret = name.partition("/")
    return [
        Series((namespace, "k8s.io/ingress-nginx", host, secret), [float(certificate.not_after)])
        for host in certificate.names
    ]


class Counting:
    """See the module."""

    def __init__(
        self,
        generations: Generations,
        follower: Follower,
        keeper: Keeper,
        front: Front,
        resolver: Resolver,
    ) -> None:
        self._generations = generations
        self._follower = follower
        self._keeper = keeper
        self._front = front
        self._resolver = resolver
        self._swap_seconds = Histogram(SWAP_SECONDS)
        self._live_seconds = Histogram(LIVE_SECONDS)
        self._certificates = Certificates()
        generations.on_applied(self._applied)

    def _applied(self, applied: Applied, _change: Change) -> None:
        self._swap_seconds.observe(applied.swap_seconds)
        if applied.cause is not None and applied.cause.observed_at:
            self._live_seconds.observe(max(0.0, applied.applied_at - applied.cause.observed_at))

    def counts(self) -> dict[str, int]:
        """Gauges for people: what stands now."""
        table = self._generations.table
        return {
            "records": len(table),
            "hosts": table.count("virtualhost"),
            "upstreams": table.count("upstream"),
            "certificates": table.count("certificate"),
            **self._front.counts(),
        }

    def counters(self) -> Counters:
        """Everything counted since this process began."""
        follower = self._follower
        refused = sum(follower.rejected[reason] for reason in ("schema", "digest", "build"))
        own = {
            "generations_total": self._generations.swaps,
            "catch_ups_total": follower.catch_ups,
            "last_good_errors_total": self._keeper.errors,
        }
        families = {OWN + name: [Series((), [float(value)])] for name, value in own.items()}
        families[OWN + "rejected_messages_total"] = [
            Series((reason,), [float(follower.rejected[reason])]) for reason in REASONS
        ]
        families[OWN + "swap_seconds"] = [Series((), list(self._swap_seconds.values))]
        families[OWN + "live_seconds"] = [Series((), list(self._live_seconds.values))]
        families[OWN + "unresolved_names"] = [Series((), [float(len(self._resolver.errors()))])]
        families[OWN + "unreadable_certificates"] = [Series((), [float(len(self._front.failures))])]
        families[PREFIX + "success"] = [Series((), [float(self._generations.swaps)])]
        families[PREFIX + "errors"] = [Series((), [float(refused)])]
        families[PREFIX + "ssl_expire_time_seconds"] = self._certificates.ends(self._generations.table)
        families.update(
            self._front.families(lambda host: self._generations.table.body("virtualhost", host) is not None)
        )
        return Counters(families)
