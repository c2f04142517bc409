"""TLS with the clients of a host: whose annotations hold for it, and what a bad Secret does.

Pure. They hold for the whole host: of its Ingresses, the first that says something of a matter decides it (contract
section 1.2). Where the authorities of clients cannot be had, nobody passes.
"""

from __future__ import annotations

from collections.abc import Sequence

from proto.diagnostics import Diagnostic
from proto.handshakes import ClientCertificates, Handshake
from services.compiler.core.claims import Claim
from services.compiler.core.credentials import AUTHORITY
from services.compiler.core.endpoint_tls import StateOf
from services.contract.annotations.entry import PREFIX
from services.contract.diagnostics import annotation_field, finding


def handshake_of(claims: Sequence[Claim], state_of: StateOf, findings: list[Diagnostic]) -> Handshake | None:
    """What ``claims`` (in order) say about TLS with the clients of their host; None: nothing."""
    every = [claim.settings for claim in claims]
    ciphers = next((settings.ssl_ciphers for settings in every if settings.ssl_ciphers), "")
    orders = (settings.ssl_prefer_server_ciphers for settings in every)
    prefers = next((order for order in orders if order is not None), None)
    asking = (claim for claim in claims if claim.settings.auth_tls_secret or claim.settings.clients_denied)
    first = next(asking, None)
    client = None if first is None else _client_certificates(first, state_of, findings)
    handshake = Handshake(ciphers, prefers, client)
    return None if handshake == Handshake() else handshake


def _client_certificates(claim: Claim, state_of: StateOf, findings: list[Diagnostic]) -> ClientCertificates:
    settings = claim.settings
    secret = settings.auth_tls_secret
    if settings.clients_denied:
        return ClientCertificates()
    state = state_of(secret)
    if not state.authority:
        findings.append(_unusable(claim, secret, state.problem or f"holds no usable {AUTHORITY}"))
        return ClientCertificates()
    return ClientCertificates(
        mode=settings.auth_tls_verify_client,  # type: ignore[arg-type]
        authority=secret,
        depth=settings.auth_tls_verify_depth or 1,
        error_page=settings.auth_tls_error_page,
        pass_certificate=settings.auth_tls_pass_certificate_to_upstream,
        subject=settings.auth_tls_match_cn,
    )


def _unusable(claim: Claim, secret: str, problem: str) -> Diagnostic:
    return finding(
        claim.key,
        "client-authority-unusable",
        annotation_field(f"{PREFIX}auth-tls-secret"),
        secret,
        f"Secret {secret} {problem}. All routes of the hosts of this Ingress answer 403.",
        f"Put the certificates of the authorities into {AUTHORITY}.",
    )
