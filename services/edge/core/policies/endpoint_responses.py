"""What becomes of heads that endpoints send before clients see them: hidden lines, other addresses, other cookies.

Pure. Answers of the edge itself are not touched by any of this.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from proto.policies import EndpointResponse
from services.edge.core import grammar
from services.edge.core.asked import Asked
from services.edge.core.edits import ResponseEdit, response_edit
from services.edge.core.outcomes import Dressing
from services.edge.core.plan import located

if TYPE_CHECKING:
    from services.edge.core.phases import Context

_OFF = "off"
_url = re.compile(rb"url=", re.IGNORECASE).search

Change = Callable[[bytes], bytes]


def hidden(context: Context) -> Dressing | None:
    """``hide-headers``."""
    names = context.settings.hide_headers
    if not names:
        return None
    edit = response_edit(removed=[name.encode() for name in names])
    return lambda _asked: edit


def redirects(context: Context) -> Dressing | None:
    """``proxy-redirect-from`` and ``proxy-redirect-to``: Location, and the address in Refresh."""
    settings, policy = context.settings, _policy(context)
    begins = settings.proxy_redirect_from if policy.redirect_from is None else policy.redirect_from
    becomes = settings.proxy_redirect_to if policy.redirect_to is None else policy.redirect_to
    if _OFF in (begins, becomes):
        return None
    start, instead, form = begins.encode(), becomes.encode(), context.plan.form

    def replaced(value: bytes, asked: Asked) -> bytes:
        if not value.startswith(start):
            return value
        value = instead + value[len(start) :]
        return located(form, asked.question, value) if value.startswith(b"/") else value

    def dress(asked: Asked) -> ResponseEdit:
        def location(value: bytes) -> bytes:
            return replaced(value, asked)

        def refresh(value: bytes) -> bytes:
            found = _url(value)
            return value if found is None else value[: found.end()] + replaced(value[found.end() :], asked)

        changes = {b"location": location, b"refresh": refresh}
        return ResponseEdit(change=lambda _status, lines: changed(lines, changes))

    return dress


def cookies(context: Context) -> Dressing | None:
    """``proxy-cookie-domain`` (a whole Domain, a dot before it counts for nothing) and ``proxy-cookie-path`` (the
    beginning of a Path), as nginx compares them."""
    settings, policy = context.settings, _policy(context)
    domain = settings.proxy_cookie_domain if policy.cookie_domain is None else policy.cookie_domain
    path = settings.proxy_cookie_path if policy.cookie_path is None else policy.cookie_path
    changes: list[Change] = []
    if domain:
        said, becomes = (word.removeprefix(".").encode() for word in domain)
        whole = re.compile(rb"(;[\t ]*+domain[\t ]*+=[\t ]*+\.?+)%b(?=[\t ]*+(?:;|$))" % re.escape(said), re.IGNORECASE)
        changes.append(_replacing(whole, becomes))
    if path:
        said, becomes = (word.encode() for word in path)
        beginning = re.compile(rb"(;[\t ]*+(?i:path)[\t ]*+=[\t ]*+)%b" % re.escape(said))
        changes.append(_replacing(beginning, becomes))
    if not changes:
        return None

    def cookie(value: bytes) -> bytes:
        for change in changes:
            value = change(value)
        return value

    edit = ResponseEdit(change=lambda _status, lines: changed(lines, {b"set-cookie": cookie}))
    return lambda _asked: edit


def changed(lines: bytes, changes: Mapping[bytes, Change]) -> bytes:
    """``lines`` with the values of some headers (names in lower case) changed."""
    found = []
    for match in grammar.field.finditer(lines):
        change = changes.get(match[1].lower())
        value = match[2]
        if change is None or (after := change(value)) == value:
            found.append(match[0])
        else:
            found.append(b"%b: %b\r\n" % (match[1], after))
    return b"".join(found)


def _replacing(pattern: re.Pattern[bytes], becomes: bytes) -> Change:
    return lambda value: pattern.sub(lambda match: match[1] + becomes, value)


def _policy(context: Context) -> EndpointResponse:
    found = (policy for policy in context.route.policies if isinstance(policy, EndpointResponse))
    return next(found, EndpointResponse())
