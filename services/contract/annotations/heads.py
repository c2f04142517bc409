"""Annotations about heads on their way between endpoints and clients."""

from __future__ import annotations

from typing import Final

from services.contract.annotations.entry import Annotation
from services.contract.header_values import parse_redirect_part, parse_reference, parse_replacement

HEADS: Final = (
    Annotation(
        name="custom-headers",
        type="string",
        parse=parse_reference,
        risk="medium",
        on_failure="deny",
        state="honoured",
        refers_to="configmap",
        doc="The ConfigMap of headers that every response gets, as `namespace/name`; values are taken as they "
        "are. Each has to stand in the ConfigMap's `global-allowed-response-headers`, else the routes answer 503.",
    ),
    Annotation(
        name="proxy-http-version",
        type="switch",
        values=("1.0", "1.1"),
        default="1.1",
        state="honoured",
        doc="The version of HTTP that endpoints are spoken to in, where they are not spoken to in HTTP/2. With `1.0` "
        "bodies are always collected first. Unset: as in the ConfigMap.",
    ),
    Annotation(
        name="proxy-cookie-domain",
        type="string",
        parse=parse_replacement,
        default="off",
        risk="medium",
        state="honoured",
        doc="Two words: the Domain of the Service's cookies that is replaced, and what it becomes; `off`: none. Unset: "
        "as in the ConfigMap.",
    ),
    Annotation(
        name="proxy-cookie-path",
        type="string",
        parse=parse_replacement,
        default="off",
        risk="medium",
        state="honoured",
        doc="Two words: the beginning of the Path of the Service's cookies that is replaced, and what it becomes; "
        "`off`: none. Unset: as in the ConfigMap.",
    ),
    Annotation(
        name="proxy-redirect-from",
        type="string",
        parse=parse_redirect_part,
        default="off",
        risk="medium",
        state="honoured",
        doc="The beginning of the Service's Location and Refresh that `proxy-redirect-to` replaces. Unset: as in the "
        "ConfigMap.",
    ),
    Annotation(
        name="proxy-redirect-to",
        type="string",
        parse=parse_redirect_part,
        default="off",
        risk="medium",
        state="honoured",
        doc="What stands there instead. A path leads to the host that was asked. Unset: as in the ConfigMap.",
    ),
    Annotation(
        name="connection-proxy-header",
        type="switch",
        values=("close", "keep-alive"),
        state="honoured",
        doc="The Connection header that endpoints get, of upgrades too.",
    ),
)
