"""Keys about heads on their way between endpoints and clients."""

from __future__ import annotations

from typing import Final

from services.contract.configmap.entry import Key
from services.contract.header_values import no_header_names

HEADS: Final = (
    Key(
        name="add-headers",
        type="string",
        state="honoured",
        refers_to="configmap",
        doc="The ConfigMap, as `namespace/name`, of headers that every response gets; values may hold nginx variables.",
    ),
    Key(
        name="allow-backend-server-header",
        type="bool",
        default="false",
        state="honoured",
        doc="With `server-tokens`, responses name the server that the Service names, if it does.",
    ),
    Key(
        name="enable-underscores-in-headers",
        type="bool",
        default="false",
        state="honoured",
        doc="Headers with an underscore in their name go on, unless they could be taken for one that the edge writes "
        "(`X_Forwarded_For`).",
    ),
    Key(
        name="forwarded-host-header",
        type="string",
        default="X-Forwarded-Host",
        state="honoured",
        doc="The header that trusted forwarders tell the Host by.",
    ),
    Key(
        name="global-allowed-response-headers",
        type="list",
        passed_over=no_header_names,
        state="honoured",
        doc="Headers that Ingresses may give to responses by `custom-headers`, with commas between.",
    ),
    Key(
        name="hide-headers",
        type="list",
        passed_over=no_header_names,
        state="honoured",
        doc="Headers of Services' responses that clients do not get, with commas between.",
    ),
    Key(
        name="ignore-invalid-headers",
        type="bool",
        default="true",
        state="honoured",
        doc="Headers with other characters in their name than letters, digits and `-` are left out. `false`: they go "
        "on where the name is one at all (RFC 9110 section 5.6.2); else the request is answered 400 either way.",
    ),
    Key(
        name="proxy-cookie-domain",
        type="string",
        default="off",
        state="honoured",
        doc="Two words: the Domain of Services' cookies that is replaced, and what it becomes.",
    ),
    Key(
        name="proxy-cookie-path",
        type="string",
        default="off",
        state="honoured",
        doc="Two words: the beginning of the Path of Services' cookies that is replaced, and what it becomes.",
    ),
    Key(
        name="proxy-http-version",
        type="string",
        default="1.1",
        state="honoured",
        choices=("1.0", "1.1"),
        doc="The version of HTTP that endpoints are spoken to in, 1.0 or 1.1.",
    ),
    Key(
        name="proxy-redirect-from",
        type="string",
        default="off",
        state="honoured",
        doc="The beginning of Services' Location and Refresh that `proxy-redirect-to` replaces.",
    ),
    Key(
        name="proxy-redirect-to",
        type="string",
        default="off",
        state="honoured",
        doc="What stands there instead.",
    ),
    Key(
        name="proxy-set-headers",
        type="string",
        state="honoured",
        refers_to="configmap",
        doc="The ConfigMap, as `namespace/name`, of headers that every endpoint gets; values may hold nginx variables. "
        "An empty value takes a header out.",
    ),
)
