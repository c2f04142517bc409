"""Names and passwords as HTTP asks for them (RFC 7617), and what of them goes on to the endpoint: nothing.

Pure. Whether a password is right is asked for (``services.edge.passwords``): hashes may take their time.
"""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as NoBase64
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from proto.policies import BasicAuth, DigestAuth
from proto.resources import Credentials
from services.edge.core.asked import Asked
from services.edge.core.edits import request_edit
from services.edge.core.outcomes import Answer, Ask, Check, Outcome, Pass

if TYPE_CHECKING:
    from services.edge.core.phases import Context

_SCHEME: Final = b"basic "
_PASSED: Final = Pass()
_UNKNOWABLE: Final = Answer(503)


class Login(Struct, frozen=True):
    """Whether ``user`` has this password: true, false, or None: that cannot be told now. ``name``: of the Credentials;
    ``by_user``: as in BasicAuth."""

    name: str
    credentials: Credentials
    by_user: bool
    user: bytes
    password: bytes


def password(context: Context) -> Check | None:
    """``auth-type: basic``: 401 to who has none, 503 where nobody can tell."""
    policy = policy_of(context)
    if policy is None:
        return None
    name, by_user = policy.credentials, policy.by_user
    credentials = context.credentials(name)
    if credentials is None:
        return lambda _asked: _UNKNOWABLE
    refused = Answer(401, lines=challenge(policy.realm))

    def after(known: bool | None) -> Outcome:
        if known is None:
            return _UNKNOWABLE
        return _PASSED if known else refused

    def check(asked: Asked) -> Outcome:
        said = spoken(asked.header("authorization"))
        if said is None:
            return refused
        asked.user = said[0]
        return Ask(Login(name, credentials, by_user, *said), after)

    return check


def unsaid(context: Context) -> Check | None:
    """The endpoint is told neither name nor password, however the request was let pass."""
    if not any(isinstance(policy, BasicAuth | DigestAuth) for policy in context.route.policies):
        return None
    passed = Pass(request=request_edit(removed=(b"Authorization",)))
    return lambda _asked: passed


def policy_of(context: Context) -> BasicAuth | None:
    """What the route asks for."""
    return next((policy for policy in context.route.policies if isinstance(policy, BasicAuth)), None)


def challenge(realm: str) -> bytes:
    """The header that asks for a password. The realm is a quoted string (RFC 9110 section 5.6.4)."""
    return b'WWW-Authenticate: Basic realm="%b"\r\n' % quoted(realm.encode())


def quoted(text: bytes) -> bytes:
    """What stands between the quotes of a quoted string."""
    return text.replace(b"\\", b"\\\\").replace(b'"', b'\\"')


def spoken(header: bytes | None) -> tuple[bytes, bytes] | None:
    """(name, password) of an Authorization header; None: it says none, or says it wrongly."""
    if header is None or header[: len(_SCHEME)].lower() != _SCHEME:
        return None
    text = header[len(_SCHEME) :].strip(b" ").rstrip(b"=")
    try:
        decoded = b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except NoBase64:
        return None
    user, colon, secret = decoded.partition(b":")
    return (user, secret) if user and colon else None
