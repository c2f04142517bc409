"""Headers that every response gets, whoever answers: those of the ConfigMap, and those of one Ingress. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from proto.policies import CustomHeaders
from proto.resources import Settings
from services.edge.core.asked import Asked
from services.edge.core.asked_values import filled
from services.edge.core.edits import response_edit
from services.edge.core.outcomes import Dressing

if TYPE_CHECKING:
    from services.edge.core.phases import Context

Values = Callable[[Asked], dict[bytes, bytes]]


def added(context: Context) -> Dressing | None:
    """``add-headers``: for all routes, with variables filled in."""
    headers = context.settings.add_headers
    if not headers:
        return None
    if not any("$" in value for _, value in headers):
        edit = response_edit({name.encode(): value.encode() for name, value in headers})
        return lambda _asked: edit
    values = values_of(headers)
    return lambda asked: response_edit(values(asked))


def custom(context: Context) -> Dressing | None:
    """``custom-headers``: as they are written, ``$`` too."""
    policy = next((policy for policy in context.route.policies if isinstance(policy, CustomHeaders)), None)
    if policy is None:
        return None
    edit = response_edit({name.encode(): value.encode() for name, value in policy.headers})
    return lambda _asked: edit


def added_lines(settings: Settings) -> bytes:
    """The lines of ``add-headers`` for answers that stand before any route; those with variables are left out."""
    headers = {name.encode(): value.encode() for name, value in settings.add_headers if "$" not in value}
    return response_edit(headers).lines


def values_of(headers: tuple[tuple[str, str], ...]) -> Values:
    """What fills in the variables of ``headers`` for one request."""
    fills = [(name.encode(), filled(value)) for name, value in headers]
    return lambda asked: {name: fill(asked) for name, fill in fills}
