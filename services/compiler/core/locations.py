"""The locations of one host: which paths exist there, whose they are, in ingress-nginx's order.

Pure. Owns conflicts and the synthetic root (contract sections 1.3 and 1.6). Must not know how locations become routes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from proto.diagnostics import Diagnostic
from proto.policies import Canary
from services.compiler.core.claims import Claim, ClaimedPath
from services.contract.diagnostics import finding

ROOT = "/"


class Location:
    """A path of a host. ``claim``: whose it is, None for the root of a catch-all that nobody declared.

    ``upstream``: where it leads, empty for the default backend. ``synthetic``: nobody declared this path.
    ``bare``: rewrites and redirects of its Ingress do not hold here. ``field``: where the Ingress says so.
    ``canary``: which other Upstream takes some of its requests.
    """

    __slots__ = ("bare", "canary", "claim", "exact", "field", "path", "synthetic", "upstream")

    def __init__(
        self,
        path: str,
        *,
        exact: bool = False,
        claim: Claim | None = None,
        upstream: str = "",
        synthetic: bool = False,
        bare: bool = False,
        field: str = "",
    ) -> None:
        self.path = path
        self.exact = exact
        self.claim = claim
        self.upstream = upstream
        self.synthetic = synthetic
        self.bare = bare
        self.field = field
        self.canary: Canary | None = None

    @property
    def rewrite_target(self) -> str:
        """The target of its Ingress, empty where there is none."""
        return "" if self.claim is None or self.bare else self.claim.settings.rewrite_target

    @property
    def use_regex(self) -> bool:
        """Whether its Ingress says that paths are patterns."""
        return self.claim is not None and not self.bare and self.claim.settings.use_regex


def locations_of(
    host: str, claims: Sequence[Claim], catch_alls: Sequence[Claim], findings: list[Diagnostic]
) -> list[Location]:
    """The locations of ``host`` in order: by length of the path, longest first, then by path, descending, then by age.

    ``claims`` name the host and are in order, ``catch_alls`` are those without rules (only for the catch-all host).
    Conflicts are appended to ``findings``.
    """
    root = _root(host, claims, catch_alls, findings)
    taken: dict[tuple[str, bool], Location] = {(ROOT, False): root}
    locations = [root]
    for claim in claims:
        for path in claim.hosts[host].paths:
            holder = taken.get((path.path, path.exact))
            if holder is None:
                location = Location(path.path, exact=path.exact, claim=claim, upstream=path.upstream, field=path.field)
                taken[path.path, path.exact] = location
                locations.append(location)
            elif holder.synthetic:
                _declare(holder, claim, path)
            else:
                findings.append(_conflict(host, claim, path, holder))
    if len(locations) > 1:
        locations.sort(key=_by_path, reverse=True)
        locations.sort(key=_by_length, reverse=True)
    return locations


def _root(host: str, claims: Sequence[Claim], catch_alls: Sequence[Claim], findings: list[Diagnostic]) -> Location:
    """The root that every host has: it carries the annotations of the first Ingress that names the host.

    The catch-all's belongs to nobody, or to the first Ingress that has a default backend and no rules; whose
    redirects and rewrites do not hold there.
    """
    if host:
        first = claims[0]
        return Location(ROOT, claim=first, upstream=first.default_upstream, synthetic=True)
    if not catch_alls:
        return Location(ROOT, synthetic=True, bare=True)
    first, *later = catch_alls
    for claim in later:
        findings.append(
            finding(
                claim.key,
                "default-backend-shadowed",
                "spec.defaultBackend",
                claim.default_upstream,
                f"{first.name} already is the catch-all. This default backend is not served.",
                "Keep one Ingress with only a default backend.",
            )
        )
    return Location(ROOT, claim=first, upstream=first.default_upstream, bare=True, field="spec.defaultBackend")


def _declare(root: Location, claim: Claim, path: ClaimedPath) -> None:
    """An Ingress declares the root path itself."""
    root.claim = claim
    root.upstream = path.upstream
    root.synthetic = False
    root.bare = False
    root.field = path.field


def _conflict(host: str, claim: Claim, path: ClaimedPath, holder: Location) -> Diagnostic:
    winner = "" if holder.claim is None else holder.claim.name
    whose = "an earlier rule of this Ingress" if winner == claim.name else f"Ingress {winner}"
    return finding(
        claim.key, "path-conflict", f"{path.field}.path", path.path,
        f"Host {host or '(any)'} and path {path.path} already belong to {whose}. This path is not served.",
        "Use another host or path.",
    )  # fmt: skip


def _by_path(location: Location) -> str:
    return location.path


def _by_length(location: Location) -> int:
    path = location.path
    return len(path) if path.isascii() else len(path.encode())


def owners(locations: Iterable[Location]) -> dict[str, Claim]:
    """The Ingresses that have a location, by name."""
    return {location.claim.name: location.claim for location in locations if location.claim is not None}
