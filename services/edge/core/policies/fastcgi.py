"""What a FastCGI script is told besides the headers of a request (``backend-protocol: FCGI``): nginx's usual parameters
and those of a ConfigMap. Pure. How they get there is ``services.edge.core.fastcgi``'s."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from proto.policies import FastCGI
from services.contract.paths import normalise
from services.edge.core.asked import Asked
from services.edge.core.asked_values import filled
from services.edge.core.edits import RequestEdit, clean
from services.edge.core.outcomes import Check, Outcome, Pass
from services.edge.core.plan import rewrite, without_port

if TYPE_CHECKING:
    from services.edge.core.phases import Context

_script: Final = re.compile(r"\$(?:fastcgi_script_name\b|\{fastcgi_script_name\})")
_PROTOCOLS: Final = {0: b"HTTP/1.0", 1: b"HTTP/1.1", 2: b"HTTP/2.0"}

Parameter = Callable[[Asked, bytes], bytes]
"""(request, path of the script) -> a value."""


def parameters(context: Context) -> Check | None:
    """Lines of the head that are parameters."""
    policy = next((policy for policy in context.route.policies if isinstance(policy, FastCGI)), None)
    if policy is None:
        return None
    index, plan, rewriter = policy.index.encode(), context.plan, context.plan.rewrite
    own = {name.encode(): _parameter(value) for name, value in policy.parameters}

    def check(asked: Asked) -> Outcome:
        target: object = asked.target
        if rewriter is not None:
            target = rewrite(plan, rewriter, asked.path, asked.target, asked.target.find(b"?")) or asked.target
        path = target.partition(b"?")[0] if isinstance(target, bytes) else b"/"
        document = (normalise(path) or "/").encode("latin-1", "replace")
        script = document + index if document.endswith(b"/") else document
        told = _usual(asked, script, document) | {name: value(asked, script) for name, value in own.items()}
        return Pass(request=RequestEdit(lines=b"".join([b"(%b): %b\r\n" % (n, clean(v)) for n, v in told.items()])))

    return check


def _usual(asked: Asked, script: bytes, document: bytes) -> dict[bytes, bytes]:
    """What nginx's ``fastcgi_params`` says."""
    told = {
        b"SCRIPT_NAME": script,
        b"REQUEST_URI": asked.target,
        b"DOCUMENT_URI": document,
        b"SERVER_PROTOCOL": _PROTOCOLS[asked.minor],
        b"REQUEST_SCHEME": asked.scheme.encode(),
        b"GATEWAY_INTERFACE": b"CGI/1.1",
        b"SERVER_SOFTWARE": b"limen",
        b"REMOTE_ADDR": asked.address.encode(),
        b"REMOTE_PORT": b"%d" % asked.link.peer_port,
        b"REMOTE_USER": asked.user,
        b"SERVER_ADDR": asked.link.server.encode(),
        b"SERVER_PORT": b"%d" % asked.port,
        b"SERVER_NAME": without_port(asked.authority),
        b"REDIRECT_STATUS": b"200",
    }
    return told | {b"HTTPS": b"on"} if asked.https else told


def _parameter(template: str) -> Parameter:
    """What makes the value of a parameter. Raises TemplateError."""
    parts = [filled(part) for part in _script.split(template)]
    return lambda asked, script: script.join([part(asked) for part in parts])
