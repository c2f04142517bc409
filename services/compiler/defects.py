"""What stays published while a defect of ours keeps an Ingress from being compiled.

Pure. A defect may hit one Ingress or, with a new version of the compiler, all of them: their hosts stay as they are
published, with all that they may refer to, and everything else goes on. Ends when they compile again, or are gone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from proto.resources import ResourceKey
from services.compiler.events import host_of
from services.compiler.starthold import OF_HOSTS, leaving, owners_of
from services.compiler.table import Change


def keep_published(change: Change, published: Mapping[ResourceKey, bytes], broken: Collection[str]) -> Change:
    """``change`` without what concerns hosts that have published routes of ``broken`` Ingresses (namespace/name)."""
    if not broken:
        return change
    touched = {key: published[key] for key in change.touched() if key.kind in OF_HOSTS and key in published}
    kept = {host_of(key) for key, owners in owners_of(touched)[0].items() if not owners.isdisjoint(broken)}
    return leaving(change, kept) if kept else change
