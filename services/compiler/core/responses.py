"""What an Ingress' annotations say of heads of requests and responses: settings -> policies of its routes.

Pure. Must not know hosts or paths, nor whether what they name exists.
"""

from __future__ import annotations

from proto.diagnostics import Diagnostic
from proto.objects import ObjectKey
from proto.policies import CORS, EndpointResponse, Policy, RequestHop
from services.contract.annotations.entry import PREFIX
from services.contract.annotations.settings import AnnotationSettings
from services.contract.diagnostics import annotation_field, finding


def responses_of(settings: AnnotationSettings) -> list[Policy]:
    """The policies about heads that every route of the Ingress carries."""
    policies: list[Policy] = []
    if settings.enable_cors:
        policies.append(
            CORS(
                settings.cors_allow_origin,
                settings.cors_allow_methods,
                settings.cors_allow_headers,
                settings.cors_expose_headers,
                settings.cors_allow_credentials,
                settings.cors_max_age,
            )
        )
    response = EndpointResponse(
        settings.proxy_redirect_from,
        settings.proxy_redirect_to,
        settings.proxy_cookie_domain,
        settings.proxy_cookie_path,
    )
    if response != EndpointResponse():
        policies.append(response)
    hop = RequestHop(settings.proxy_http_version or None, settings.connection_proxy_header)
    if hop != RequestHop():
        policies.append(hop)
    return policies


def remarks_on_responses(key: ObjectKey, settings: AnnotationSettings) -> list[Diagnostic]:
    """What is as ingress-nginx does it, and hardly what was meant."""
    if not settings.enable_cors or not settings.cors_allow_credentials or settings.cors_allow_origin != ("*",):
        return []
    return [
        finding(
            key,
            "cors-credentials",
            annotation_field(PREFIX + "enable-cors"),
            "true",
            "Pages of all origins may ask, with credentials. Browsers take no response that allows both.",
            "Name the origins in cors-allow-origin, or set cors-allow-credentials to false.",
        )
    ]
