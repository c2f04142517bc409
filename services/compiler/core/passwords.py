"""Names and passwords that an Ingress asks for: which Secret they stand in, and what a bad Secret does.

Pure. An Ingress whose Secret is missing, or lacks the file, answers 503: never open (contract section 1.1, P7).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from proto.diagnostics import Diagnostic
from proto.policies import BasicAuth
from services.compiler.core.claims import Claim
from services.compiler.core.credentials import USERS, CredentialsState
from services.contract.annotations.entry import PREFIX
from services.contract.diagnostics import annotation_field, finding


def judge_passwords(
    claims: Sequence[Claim], state_of: Callable[[str], CredentialsState], findings: list[Diagnostic]
) -> tuple[dict[str, BasicAuth], frozenset[str]]:
    """(what is asked for, by Ingress; the Ingresses whose Secret is not usable)."""
    asked: dict[str, BasicAuth] = {}
    denied: set[str] = set()
    for claim in claims:
        basic = basic_auth_of(claim)
        if basic is None:
            continue
        state = state_of(basic.credentials)
        problem = "" if state.exists else "does not exist"
        if not problem and not basic.by_user and not state.users:
            problem = f"holds no key {USERS}"
        if problem:
            denied.add(claim.name)
            findings.append(_unusable(claim, basic.credentials, problem))
        else:
            asked[claim.name] = basic
    return asked, frozenset(denied)


def basic_auth_of(claim: Claim) -> BasicAuth | None:
    """What the Ingress asks for; a Secret without a namespace is in its own."""
    settings = claim.settings
    if settings.auth_type != "basic" or not settings.auth_secret:
        return None
    secret = settings.auth_secret
    name = secret if "/" in secret else f"{claim.key.namespace}/{secret}"
    return BasicAuth(name, settings.auth_realm, settings.auth_secret_type == "auth-map")  # noqa: S105 - no password


def _unusable(claim: Claim, secret: str, problem: str) -> Diagnostic:
    return finding(
        claim.key,
        "passwords-unusable",
        annotation_field(f"{PREFIX}auth-secret"),
        secret,
        f"Secret {secret} {problem}. The routes of this Ingress answer 503.",
        f"Put an htpasswd file into its key {USERS}, or a hash under each name and say auth-secret-type: auth-map.",
    )
