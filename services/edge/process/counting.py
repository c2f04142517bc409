"""What a worker has counted, in the families that the admin process renders.

Must not know how it travels or how it is rendered.
"""

from __future__ import annotations

from bisect import bisect_left

from services.edge.follow.follower import Follower
from services.edge.follow.generations import Applied, Generations
from services.edge.follow.incoming import REASONS
from services.edge.follow.keeper import Keeper
from services.edge.follow.table import Change
from services.edge.process.certificates import Certificates
from services.edge.process.exposing import PREFIX
from services.edge.process.families import LIVE_SECONDS, OWN, SWAP_SECONDS
from services.edge.process.front import Front
from services.edge.process.metrics import Counters, Series
from services.edge.process.registered import registered_series
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
        certificates = self._certificates.told(self._generations.table)
        families[PREFIX + "ssl_expire_time_seconds"] = certificates.ends
        families[PREFIX + "ssl_certificate_info"] = certificates.issuers
        families.update(registered_series())
        families.update(
            self._front.families(lambda host: self._generations.table.body("virtualhost", host) is not None)
        )
        return Counters(families)
