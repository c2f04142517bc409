"""Diagnostics: typed findings about an object, for people and programs.

Owns the shape; which codes exist and when they are raised is said by ``services.contract.diagnostics``.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from proto.objects import ObjectKey

Severity = Literal["error", "warning", "notice"]


class Diagnostic(Struct, frozen=True, order=True, omit_defaults=True, gc=False):
    """A finding.

    ``code``: stable, e.g. ``annotation-invalid``. ``field``: a path into the object, e.g.
    ``metadata.annotations[nginx.ingress.kubernetes.io/use-regex]`` or ``spec.rules[0].http.paths[1].path``.
    ``value``: the offending value, shortened to 200 characters and never secret. ``message``: what is wrong and what
    happens now; ``remedy``: what to do.
    """

    object: ObjectKey
    code: str
    severity: Severity
    field: str
    value: str
    message: str
    remedy: str = ""
