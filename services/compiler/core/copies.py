"""What an Ingress' annotations say of copies of its requests: settings -> policies of its routes. Pure."""

from __future__ import annotations

from proto.policies import Mirror
from services.contract.annotations.copies import host_of_target
from services.contract.annotations.settings import AnnotationSettings


def copies_of(settings: AnnotationSettings) -> list[Mirror]:
    """Where copies go; nowhere, without a target."""
    target = settings.mirror_target
    if not target:
        return []
    return [Mirror(target, settings.mirror_host or host_of_target(target), settings.mirror_request_body == "on")]
