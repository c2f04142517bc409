"""What clients ask of Ingresses with limits, counted: it outlives generations, so that a swap gives nobody more.

Owns the counts of one worker, where it is the only one (else ``shared_rates`` has them). Must not know policies: a
question says all that is needed.
"""

from __future__ import annotations

from collections.abc import Callable

from services.edge.core.leaky_buckets import LeakyBuckets
from services.edge.core.networks import numbered
from services.edge.core.policies.limits import MayAsk, MayEnter

_Place = tuple[str, tuple[int, int]]


class ClientRates:
    """See the module. ``clock``: seconds that never go back."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._buckets = LeakyBuckets()
        self._under_way: dict[_Place, int] = {}

    def may_ask(self, question: MayAsk) -> bool:
        """Whether one more request may pass, which is counted then."""
        return self._buckets.take(numbered(question.address), question.buckets, int(self._clock() * 1000))

    def may_enter(self, question: MayEnter) -> Callable[[], None] | None:
        """What is to be called once when the request is over; None: too many are under way already."""
        place = (question.zone, numbered(question.address))
        count = self._under_way.get(place, 0)
        if count >= question.at_most:
            return None
        self._under_way[place] = count + 1
        return lambda: self._leave(place)

    def _leave(self, place: _Place) -> None:
        count = self._under_way[place] - 1
        if count:
            self._under_way[place] = count
        else:
            del self._under_way[place]
