"""Certificates that end soon. Pure; the time is given. Nothing else in the compiler is decided by wall time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from proto.codec import DecodeError, decode
from proto.events import CertificateExpiring
from proto.resources import Certificate, ResourceKey

WARN_DAYS: Final = 10
DAY: Final = 86400.0


def expiring(table: Mapping[ResourceKey, bytes], now: float) -> list[CertificateExpiring]:
    """Each Certificate in ``table`` that ends within ``WARN_DAYS`` days or has ended. ``now``: Unix seconds."""
    found = []
    for key, body in table.items():
        if key.kind != "certificate":
            continue
        try:
            certificate = decode(body, Certificate, str(key))
        except DecodeError:  # a newer compiler's; it warns
            continue
        days_left = int((certificate.not_after - now) // DAY)
        if days_left < WARN_DAYS:
            found.append(
                CertificateExpiring(
                    certificate=key.name, names=certificate.names, not_after=certificate.not_after, days_left=days_left
                )
            )
    return found
