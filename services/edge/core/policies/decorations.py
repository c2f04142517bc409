"""What a snippet of nothing else says of heads of responses, done as nginx does it. Pure.

Owns the order: headers are taken out, then put in place of what was there, then added beside it (which a few statuses
alone get). How messages are framed is out of reach, whatever a name with ``*`` covers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from proto.policies import Decorations
from services.contract.decorations import ADDED_TO
from services.edge.core import grammar
from services.edge.core.asked import Asked
from services.edge.core.asked_values import filled
from services.edge.core.edits import KEPT_IN_RESPONSES, ResponseEdit, response_edit, without
from services.edge.core.outcomes import Dressing

if TYPE_CHECKING:
    from services.edge.core.phases import Context

_SPARED: Final = KEPT_IN_RESPONSES | {b"content-type"}
"""What a name with ``*`` does not cover: how messages are framed, and what nginx does not keep among its headers."""

Lines = tuple[tuple[str, str], ...]
Values = Callable[[Asked], list[tuple[bytes, bytes]]]


def decorated(context: Context) -> Dressing | None:
    """What the routes of an Ingress with such a snippet, and of its host, say of responses."""
    policy = next((policy for policy in context.route.policies if isinstance(policy, Decorations)), None)
    if policy is None:
        return None
    put, added, always = (_values(lines) for lines in (policy.put, policy.added, policy.always))
    removed = [name.encode() for name in policy.removed if not name.endswith("*")]
    beginnings = tuple(name[:-1].encode() for name in policy.removed if name.endswith("*"))

    def dress(asked: Asked) -> ResponseEdit:
        beside, sometimes = always(asked), added(asked)
        if not beginnings and not sometimes:
            return response_edit(dict(put(asked)), removed, beside)
        instead = response_edit(dict(put(asked)), removed)

        def change(status: int, lines: bytes) -> bytes:
            gone = instead.removed | _covered(lines, beginnings)
            more = [*beside, *sometimes] if status in ADDED_TO else beside
            return b"%b%b%b" % (without(lines, gone), instead.lines, response_edit(added=more).lines)

        return response_edit(change=change)

    return dress


def _values(lines: Lines) -> Values:
    if not any("$" in value for _, value in lines):
        fixed = [(name.encode(), value.encode()) for name, value in lines]
        return lambda _asked: fixed
    fills = [(name.encode(), filled(value)) for name, value in lines]
    return lambda asked: [(name, fill(asked)) for name, fill in fills]


def _covered(lines: bytes, beginnings: tuple[bytes, ...]) -> frozenset[bytes]:
    """The names in ``lines``, in lower case, that begin with one of ``beginnings`` and may be taken out."""
    names = {found[1].lower() for found in grammar.field.finditer(lines)}
    return frozenset(name for name in names if name.startswith(beginnings)) - _SPARED
