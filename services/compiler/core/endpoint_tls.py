"""TLS to the endpoints of a host's routes: whose ``proxy-ssl-*`` hold where, and what a bad Secret does.

Pure. Of a host's Ingresses, the first that names a usable Secret speaks for those that name none (ingress-nginx writes
it into the server), unless the ConfigMap says ``proxy-ssl-location-only``. One whose Secret is not usable answers 503.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from proto.diagnostics import Diagnostic
from proto.policies import BackendProtocol, EndpointTLS, Policy
from services.compiler.core.claims import Claim
from services.compiler.core.credentials import AUTHORITY, CredentialsState
from services.contract.annotations.entry import PREFIX
from services.contract.configmap.read import Controller
from services.contract.diagnostics import annotation_field, finding

StateOf = Callable[[str], CredentialsState]


class HostEndpointTLS(Struct, frozen=True, gc=False):
    """What holds on one host. ``own``: by Ingress; ``shared``: for Ingresses that say nothing; ``denied``: Ingresses
    whose Secret is not usable."""

    own: dict[str, EndpointTLS] = {}
    shared: EndpointTLS | None = None
    denied: frozenset[str] = frozenset()

    def policies(self, claim: Claim) -> tuple[Policy, ...]:
        """What the routes of ``claim`` carry: nothing where endpoints are spoken to in the clear."""
        tls = self.own.get(claim.name, self.shared)
        return (tls,) if tls is not None and _uses_tls(claim) else ()


NO_ENDPOINT_TLS = HostEndpointTLS()


def judge_endpoint_tls(
    claims: Sequence[Claim], state_of: StateOf, controller: Controller, findings: list[Diagnostic]
) -> HostEndpointTLS:
    """What holds on the host that ``claims`` (in order) name. ``state_of``: what a Secret is good for."""
    own: dict[str, EndpointTLS] = {}
    denied: set[str] = set()
    for claim in claims:
        tls = claim.endpoint_tls
        if tls is None:
            continue
        state = state_of(tls.credentials)
        problem = state.problem or (f"holds no {AUTHORITY}" if tls.verify and not state.authority else "")
        if problem:
            denied.add(claim.name)
            findings.append(_unusable(claim, tls.credentials, problem))
        elif state.authority:
            own[claim.name] = tls
        else:  # ingress-nginx writes these only where there is an authority
            own[claim.name] = replace(tls, protocols=(), ciphers="DEFAULT")
    if not own and not denied:
        return NO_ENDPOINT_TLS
    shared = None if controller.endpoint_tls_by_path else next(iter(own.values()), None)
    return HostEndpointTLS(own, shared, frozenset(denied))


def _uses_tls(claim: Claim) -> bool:
    return any(isinstance(policy, BackendProtocol) and policy.protocol != "grpc" for policy in claim.policies)


def _unusable(claim: Claim, secret: str, problem: str) -> Diagnostic:
    return finding(
        claim.key,
        "endpoint-credentials-unusable",
        annotation_field(f"{PREFIX}proxy-ssl-secret"),
        secret,
        f"Secret {secret} {problem}. The routes of this Ingress answer 503.",
        f"Put the authority of the endpoints' certificates into {AUTHORITY}, or a pair into tls.crt and tls.key.",
    )
