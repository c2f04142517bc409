"""All annotations, by name."""

from __future__ import annotations

from typing import Final

from services.contract.annotations.access import ACCESS
from services.contract.annotations.bodies import BODIES
from services.contract.annotations.cors import CORS
from services.contract.annotations.entry import PREFIX, Annotation
from services.contract.annotations.heads import HEADS
from services.contract.annotations.proxying import PASSING_ON
from services.contract.annotations.routing import ROUTING

REGISTRY: Final[dict[str, Annotation]] = {
    entry.name: entry for entry in (*ROUTING, *ACCESS, *CORS, *BODIES, *HEADS, *PASSING_ON)
}
"""Every annotation of ingress-nginx by its name without the prefix (aliases stand in their entry)."""

BY_FULL_NAME: Final[dict[str, Annotation]] = {
    PREFIX + name: entry for entry in REGISTRY.values() for name in (entry.name, *entry.aliases)
}
"""Entries by the names that stand in manifests, aliases too."""
