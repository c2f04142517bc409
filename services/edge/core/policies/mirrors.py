"""Copies of requests for others than their endpoints (``mirror-target``): where one goes, and with which head.

Pure. It is the request as its endpoint gets it, but for its target, the Host, and what belongs to one connection; so
what a client says of itself and is not believed does not get there either. Who sends it is ``services.edge.copies``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from proto.policies import Mirror
from services.edge.core.asked import Asked
from services.edge.core.asked_values import filled
from services.edge.core.edits import clean, without
from services.edge.core.plan import Forward
from services.edge.core.policies.addressed import Place, place_of

if TYPE_CHECKING:
    from services.edge.core.phases import Context

_parameters = re.compile(rb"(?:\n\([^\n]*+)++\n").sub
"""Lines of a head that are for a FastCGI script alone."""
_NOT_SENT: Final = frozenset((b"host", b"connection", b"upgrade", b"content-length", b"transfer-encoding"))


class Copied(Struct, frozen=True, gc=False):
    """A request as it is sent elsewhere. ``head``: whole, but for the length of its body and the empty line; ``body``:
    it has one; ``harmless``: it may be sent twice; ``connect_timeout``: in seconds."""

    place: Place
    head: bytes
    bodiless: bool
    body: bool
    harmless: bool
    connect_timeout: float


Mirroring = Callable[[Asked, bytes], Copied | None]
"""(request, its head as the endpoint gets it) -> its copy; None: there is no address in what the template comes to."""

_HARMLESS: Final = frozenset((b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE"))


def mirroring(context: Context) -> Mirroring | None:
    """What makes copies of the route's requests; None: there are none. Raises TemplateError."""
    policy = next((policy for policy in context.route.policies if isinstance(policy, Mirror)), None)
    if policy is None:
        return None
    url, host, varies = filled(policy.target), filled(policy.host), "$" in policy.target
    with_body = policy.body
    action = context.plan.action
    patience = (action.proxying if isinstance(action, Forward) else context.proxying).connect_timeout

    def copied(asked: Asked, head: bytes) -> Copied | None:
        place = place_of(url(asked))
        if place is None:
            return None
        lines = without(_parameters(b"\n", head[:-2]), _NOT_SENT, head.find(b"\n") + 1)
        line = b"%b %b HTTP/1.1\r\nHost: %b\r\n" % (
            asked.method,
            target_of(place.target, asked, varies=varies),
            clean(host(asked)) or place.host,
        )
        body = with_body and asked.headers.length != 0
        harmless = asked.method in _HARMLESS
        return Copied(place, line + lines, asked.method == b"HEAD", body, harmless, patience)

    return copied


def target_of(target: bytes, asked: Asked, *, varies: bool) -> bytes:
    """What the copy asks for: ``target``, with the client's query unless variables say all that there is to say
    (``varies``); where the address has none, what the client asked for (nginx: ``proxy_pass``)."""
    if not target:
        return asked.target
    if varies or not asked.query:
        return target
    return b"%b%b%b" % (target, b"&" if b"?" in target else b"?", asked.query)
