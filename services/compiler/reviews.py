"""AdmissionReviews of the Kubernetes API: bytes in, bytes out.

Pure. Owns the shape of ``admission.k8s.io/v1`` and which reviews need no verdict (removals, what is being removed).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
from msgspec import Struct

from proto.objects import Ingress
from services.compiler.core.review import PASSED, Reviewed
from services.contract.ingress_manifest import IngressManifest, trim_ingress

VERSION: Final = "admission.k8s.io/v1"
BAD_REQUEST: Final = 400
"""The code of a refusal, as of ingress-nginx."""


class _Kind(Struct, frozen=True):
    group: str = ""
    version: str = ""
    kind: str = ""


class _Request(Struct, frozen=True):
    uid: str = ""
    kind: _Kind = _Kind()
    name: str = ""
    namespace: str = ""
    operation: str = ""
    object: msgspec.Raw = msgspec.Raw(b"null")


class _Review(Struct, frozen=True, rename="camel"):
    api_version: str = ""
    kind: str = ""
    request: _Request | None = None


class UnreadableReviewError(ValueError):
    """The body is no review of this version."""


def answer(body: bytes, verdict: Callable[[Ingress], Reviewed]) -> tuple[bytes, bool]:
    """The answer to the review in ``body``, and whether it lets the object pass. Raises UnreadableReviewError."""
    try:
        asked = msgspec.json.decode(body, type=_Review)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableReviewError(f"no AdmissionReview: {error}") from None
    if asked.kind != "AdmissionReview" or asked.api_version != VERSION or asked.request is None:
        raise UnreadableReviewError(f"no AdmissionReview of {VERSION} with a request")
    reviewed = _reviewed(asked.request, verdict)
    response: dict[str, Any] = {"uid": asked.request.uid, "allowed": not reviewed.refusal}
    if reviewed.refusal:
        response["status"] = {"status": "Failure", "code": BAD_REQUEST, "message": reviewed.refusal}
    if reviewed.warnings:
        response["warnings"] = reviewed.warnings
    told = {"apiVersion": VERSION, "kind": "AdmissionReview", "response": response}
    return msgspec.json.encode(told), not reviewed.refusal


def _reviewed(request: _Request, verdict: Callable[[Ingress], Reviewed]) -> Reviewed:
    if request.operation == "DELETE" or bytes(request.object).strip() in (b"", b"null"):
        return PASSED
    kind = request.kind
    if kind.group != "networking.k8s.io" or kind.kind != "Ingress":
        what = f"{kind.group}/{kind.version}, Kind={kind.kind}"
        return Reviewed(
            "rejecting admission review because the request does not contain an Ingress resource but "
            f"{what} with name {request.name} in namespace {request.namespace}"
        )
    try:
        manifest = msgspec.json.decode(request.object, type=IngressManifest)
        ingress = trim_ingress(manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError, OverflowError) as error:
        return Reviewed(f"the Ingress cannot be read: {error}")
    if manifest.metadata is not None and manifest.metadata.deletion_timestamp:
        return PASSED
    if not ingress.namespace:
        ingress = msgspec.structs.replace(ingress, namespace=request.namespace)
    return verdict(ingress)
