"""Names and passwords that an Ingress asks for: which Secret they stand in, and what a bad Secret does.

Pure. An Ingress whose Secret is missing, or lacks the file, answers 503: never open (contract section 1.1, P7).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from proto.diagnostics import Diagnostic
from proto.policies import BasicAuth, DigestAuth
from services.compiler.core.claims import Claim
from services.compiler.core.credentials import USERS, CredentialsState
from services.contract.annotations.entry import PREFIX
from services.contract.diagnostics import annotation_field, finding

Passwords = BasicAuth | DigestAuth


def judge_passwords(
    claims: Sequence[Claim], state_of: Callable[[str], CredentialsState], findings: list[Diagnostic]
) -> tuple[dict[str, Passwords], frozenset[str]]:
    """(what is asked for, by Ingress; the Ingresses whose Secret is not usable)."""
    asked: dict[str, Passwords] = {}
    denied: set[str] = set()
    for claim in claims:
        policy = passwords_of(claim)
        if policy is None:
            continue
        state = state_of(policy.credentials)
        problem = "" if state.exists else "does not exist"
        if not problem and not policy.by_user and not state.users:
            problem = f"holds no key {USERS}"
        if problem:
            denied.add(claim.name)
            findings.append(_unusable(claim, policy.credentials, problem))
        else:
            asked[claim.name] = policy
    return asked, frozenset(denied)


def passwords_of(claim: Claim) -> Passwords | None:
    """What the Ingress asks for; a Secret without a namespace is in its own."""
    settings = claim.settings
    if not settings.auth_type or not settings.auth_secret:
        return None
    secret = settings.auth_secret
    name = secret if "/" in secret else f"{claim.key.namespace}/{secret}"
    kind = DigestAuth if settings.auth_type == "digest" else BasicAuth
    return kind(name, settings.auth_realm, settings.auth_secret_type == "auth-map")  # noqa: S105 - no password


def _unusable(claim: Claim, secret: str, problem: str) -> Diagnostic:
    return finding(
        claim.key,
        "passwords-unusable",
        annotation_field(f"{PREFIX}auth-secret"),
        secret,
        f"Secret {secret} {problem}. The routes of this Ingress answer 503.",
        f"Put an htpasswd file (auth-type: digest: htdigest) into its key {USERS}, or a hash under each name and say "
        "auth-secret-type: auth-map.",
    )
