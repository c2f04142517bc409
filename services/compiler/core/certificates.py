"""Which certificate a host shows, and whether it counts as having TLS (contract section 1.8).

Pure. The oldest Ingress of a host that has any ``tls`` decides for it. A Secret that is missing, bad or for other
names gives the default certificate, and the host still counts as having TLS: never a dead host.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from proto.diagnostics import Diagnostic
from proto.objects import Secret, TLSMaterial
from proto.resources import Certificate
from services.compiler.core.claims import Claim
from services.contract.diagnostics import finding


class HostTLS(Struct, frozen=True, gc=False):
    """A host has TLS. ``certificate``: the name of the Certificate, empty for the default one."""

    certificate: str = ""
    diagnostics: tuple[Diagnostic, ...] = ()


def choose_tls(host: str, claims: Sequence[Claim], secrets: Mapping[str, Secret]) -> HostTLS | None:
    """What ``claims`` (in order) say about TLS for ``host``; None: nothing. ``secrets`` by ``namespace/name``."""
    for claim in claims:
        if claim.tls:
            return _choose(host, claim, secrets)
    return None


def _choose(host: str, claim: Claim, secrets: Mapping[str, Secret]) -> HostTLS:
    namespace = claim.key.namespace
    for number, entry in enumerate(claim.tls):
        if any(listed.lower() == host for listed in entry.hosts):
            if not entry.secret:
                return HostTLS()
            return _listed(host, claim, f"spec.tls[{number}].secretName", f"{namespace}/{entry.secret}", secrets)
    for entry in claim.tls:
        secret = secrets.get(f"{namespace}/{entry.secret}") if entry.secret else None
        if secret is not None and secret.tls is not None and covers(secret.tls, host):
            return HostTLS(f"{namespace}/{entry.secret}")
    return HostTLS()


def _listed(host: str, claim: Claim, field: str, name: str, secrets: Mapping[str, Secret]) -> HostTLS:
    """The certificate of the Secret that the Ingress lists for this host."""

    def note(code: str, message: str, remedy: str) -> Diagnostic:
        return finding(claim.key, code, field, name, message, remedy)

    secret = secrets.get(name)
    if secret is None:
        missing = f"Secret {name} does not exist. {host} shows the default certificate."
        return HostTLS("", (note("secret-not-found", missing, "Create it with type kubernetes.io/tls."),))
    material = secret.tls
    problem = secret.problem or ("" if material is not None else "it holds no certificate")
    notes: tuple[Diagnostic, ...] = ()
    if problem:
        shown = "the default certificate" if material is None else "its last good certificate"
        unusable = f"Secret {name} cannot be used: {problem}. {host} shows {shown}."
        notes = (note("secret-invalid", unusable, "Put a certificate and its key into tls.crt and tls.key."),)
    if material is None:
        return HostTLS("", notes)
    if not covers(material, host):
        names = ", ".join(material.names) or "no name"
        other = f"The certificate in Secret {name} is for {names}. {host} shows the default certificate."
        return HostTLS("", (*notes, note("certificate-mismatch", other, f"Use a certificate for {host}.")))
    return HostTLS(name, notes)


def covers(material: TLSMaterial, host: str) -> bool:
    """Whether one of the certificate's names is ``host`` or its one-label wildcard."""
    if host in material.names:
        return True
    _, dot, parent = host.partition(".")
    return bool(dot) and f"*.{parent}" in material.names


def certificate_of(material: TLSMaterial) -> Certificate:
    """The Certificate resource of ``material``."""
    return Certificate(
        material.chain,
        material.names,
        material.not_before,
        material.not_after,
        material.fingerprint,
        material.sealed_key,
    )
