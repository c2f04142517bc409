"""Proofs of passwords that are not sent (``auth-type: digest``), as nginx's module for it asks for them.

Pure. Which nonces are good, and whether a proof is one, is asked for (``services.edge.digests``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from proto.policies import DigestAuth
from proto.resources import Credentials
from services.edge.core.asked import Asked
from services.edge.core.digests import Proof, proof_in
from services.edge.core.edits import ResponseEdit, response_edit
from services.edge.core.outcomes import Answer, Ask, Check, Outcome, Pass
from services.edge.core.policies.passwords import quoted

if TYPE_CHECKING:
    from services.edge.core.phases import Context

_UNKNOWABLE = Answer(503)


class Challenged(Struct, frozen=True):
    """Whether ``proof`` (None: the client has none) is one for this ``method``. ``name``: of the Credentials;
    ``by_user``: as in DigestAuth."""

    name: str
    credentials: Credentials
    by_user: bool
    method: bytes
    proof: Proof | None


class Judged(Struct, frozen=True, gc=False):
    """``counterproof``: the proof is good, and this is ours; empty: it is not, and the client is asked again with
    ``nonce``; ``stale``: it was good but for its nonce."""

    counterproof: bytes = b""
    nonce: bytes = b""
    stale: bool = False


def policy_of(context: Context) -> DigestAuth | None:
    """What the route asks for."""
    return next((policy for policy in context.route.policies if isinstance(policy, DigestAuth)), None)


def digest(context: Context) -> Check | None:
    """``auth-type: digest``: 401 to who proves nothing, 503 where nobody can tell."""
    policy = policy_of(context)
    if policy is None:
        return None
    name, by_user, realm = policy.credentials, policy.by_user, policy.realm.encode()
    credentials = context.credentials(name)
    if credentials is None:
        return lambda _asked: _UNKNOWABLE
    question = b'WWW-Authenticate: Digest realm="%b", qop="auth", algorithm=MD5, nonce="' % quoted(realm)

    def check(asked: Asked) -> Outcome:
        proof = proof_in(asked.header("authorization"))
        if proof is not None and (proof.realm != realm or proof.target != asked.target):
            proof = None
        if proof is not None:
            asked.user = proof.user

        def after(judged: Judged | None) -> Outcome:
            if judged is None:
                return _UNKNOWABLE
            if proof is not None and judged.counterproof:
                return Pass(response=_told(proof, judged.counterproof))
            asked.user = b""
            ending = b'", stale=true\r\n' if judged.stale else b'"\r\n'
            return Answer(401, lines=b"%b%b%b" % (question, judged.nonce, ending))

        return Ask(Challenged(name, credentials, by_user, asked.method, proof), after)

    return check


def _told(proof: Proof, counterproof: bytes) -> ResponseEdit:
    said = b'qop=auth, rspauth="%b", cnonce="%b", nc=%b'
    return response_edit(put={b"Authentication-Info": said % (counterproof, quoted(proof.own), proof.written)})
