"""Where requests go instead: redirects of whole routes, and error backends. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proto import policies
from services.edge.core.asked import Asked
from services.edge.core.outcomes import Answer, Check, Outcome
from services.edge.core.plan import CustomErrors, Forward, RedirectForm, Respond, located

if TYPE_CHECKING:
    from services.edge.core.phases import Context

_WITH_LOCATION = (301, 302, 303, 307, 308)
"""Statuses that nginx's ``return`` sends with a Location; with any other the address is the content."""


def moved(context: Context) -> Check | None:
    """``temporal-redirect`` and ``permanent-redirect``: every request is sent elsewhere."""
    policy = next((policy for policy in context.route.policies if isinstance(policy, policies.Moved)), None)
    if policy is None:
        return None
    location = policy.location.encode()
    if policy.status not in _WITH_LOCATION:
        answer = Answer(policy.status, lines=b"Content-Type: text/html\r\n", content=location)
        return lambda _asked: answer
    if not location.startswith(b"/"):
        answer = Answer(policy.status, location)
        return lambda _asked: answer
    form: RedirectForm = context.plan.form

    def check(asked: Asked) -> Outcome:
        return Answer(policy.status, located(form, asked.question, location))

    return check


def custom_errors(context: Context) -> CustomErrors | None:
    """``custom-http-errors``: which answers of the route are replaced, by whose; the route's own word, else the
    ConfigMap's."""
    settings = context.settings
    statuses, endpoints, name = settings.custom_http_errors, not settings.disable_proxy_intercept_errors, ""
    for policy in context.route.policies:
        if isinstance(policy, policies.CustomErrors):
            statuses = statuses if policy.statuses is None else policy.statuses
            endpoints = endpoints if policy.endpoints is None else policy.endpoints
            name = policy.backend
    if not statuses:
        return None
    name = name or settings.default_upstream
    backend: Forward | Respond = Respond(context.plan.labels, 404)  # nginx's own default backend
    if name:
        backend = Forward(context.plan.labels, name, name, proxying=context.proxying)
    return CustomErrors(frozenset(statuses), backend, endpoints)
