"""The guards of a route together: each must let a request pass, or any one of them (``satisfy``).

Pure. Owns how their words are put together, as nginx does it (``ngx_http_core_access_phase``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from proto.policies import SatisfyAny
from services.edge.core.asked import Asked
from services.edge.core.outcomes import Answer, Ask, Check, Outcome
from services.edge.core.policies import addresses, digests, external, passwords

if TYPE_CHECKING:
    from services.edge.core.phases import Compile, Context

GUARDS: tuple[Compile, ...] = (addresses.addresses, passwords.password, digests.digest, external.external)
"""In the order in which they are asked. Each says Pass: it agrees; an answer: it does not; None: it has no say."""
_REFUSALS = (401, 403)


def each(guard: Compile) -> Compile:
    """``guard`` as a phase of its own, where all have to agree."""
    return lambda context: None if _one_is_enough(context) else guard(context)


def any_of_them(context: Context) -> Check | None:
    """``satisfy: any``: the first guard that agrees settles it; if none does, a 401 goes before a 403."""
    if not _one_is_enough(context):
        return None
    guards = [check for guard in GUARDS if (check := guard(context)) is not None]
    return one_of(guards) if guards else None


def one_of(guards: Sequence[Check]) -> Check:
    """The guards as one check."""

    def go_on(asked: Asked, at: int, refusal: Answer | None) -> Outcome:
        while at < len(guards):
            said = guards[at](asked)
            at += 1
            if said is None:
                continue
            if not isinstance(said, Answer) or said.status not in _REFUSALS:
                return settle(asked, said, at, refusal)
            refusal = _graver(refusal, said)
        return refusal

    def settle(asked: Asked, said: Outcome, at: int, refusal: Answer | None) -> Outcome:
        if isinstance(said, Ask):
            after = said.after
            return Ask(said.question, lambda answer: settle(asked, after(answer), at, refusal))
        if said is None:
            return go_on(asked, at, refusal)
        if isinstance(said, Answer) and said.status in _REFUSALS:
            return go_on(asked, at, _graver(refusal, said))
        return said

    return lambda asked: go_on(asked, 0, None)


def _graver(before: Answer | None, now: Answer) -> Answer:
    return now if before is None or before.status != 401 else before


def _one_is_enough(context: Context) -> bool:
    return any(isinstance(policy, SatisfyAny) for policy in context.route.policies)
