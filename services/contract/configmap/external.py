"""Keys about the server that is asked who may pass, for all Ingresses (``global-auth-*``). One that cannot be read
closes the routes, as none of them may be let through unasked."""

from __future__ import annotations

from typing import Any, Final

from msgspec import Struct

from services.contract.annotations.external import (
    DURATION,
    parse_auth_url,
    parse_durations,
    parse_filled,
    parse_method,
    parse_parameter,
    parse_signin,
)
from services.contract.configmap.entry import Key
from services.contract.header_values import parse_header_list

BEGINNING: Final = "global-auth-"

EXTERNAL: Final = (
    Key(
        name="global-auth-always-set-cookie",
        type="bool",
        default="false",
        state="honoured",
        doc="What `auth-always-set-cookie` says, for `global-auth-url`.",
    ),
    Key(
        name="global-auth-cache-duration",
        type="string",
        default=DURATION,
        state="honoured",
        guards=True,
        doc="What `auth-cache-duration` says, for `global-auth-url`.",
    ),
    Key(
        name="global-auth-cache-key",
        type="string",
        state="honoured",
        doc="What `auth-cache-key` says, for `global-auth-url`.",
    ),
    Key(
        name="global-auth-method",
        type="string",
        state="honoured",
        guards=True,
        doc="What `auth-method` says, for `global-auth-url`.",
    ),
    Key(
        name="global-auth-proxy-set-headers",
        type="string",
        state="honoured",
        refers_to="configmap",
        doc="What `auth-proxy-set-headers` says, for `global-auth-url`: a ConfigMap as `namespace/name`, or of the "
        "ConfigMap's own namespace. Without a usable one, routes that would be asked about answer 503.",
    ),
    Key(
        name="global-auth-request-redirect",
        type="string",
        state="honoured",
        doc="What `auth-request-redirect` says, for `global-auth-url`.",
    ),
    Key(
        name="global-auth-response-headers",
        type="list",
        state="honoured",
        guards=True,
        doc="What `auth-response-headers` says, for `global-auth-url`.",
    ),
    Key(
        name="global-auth-signin",
        type="string",
        state="honoured",
        doc="What `auth-signin` says, for `global-auth-url`.",
    ),
    Key(
        name="global-auth-signin-redirect-param",
        type="string",
        default="rd",
        state="honoured",
        doc="What `auth-signin-redirect-param` says, for `global-auth-url`.",
    ),
    Key(
        name="global-auth-url",
        type="string",
        state="honoured",
        guards=True,
        doc="Ask this address about every request of every Ingress that has no `auth-url` of its own, but for those "
        'with `enable-global-auth: "false"` and paths of `no-auth-locations`.',
    ),
)

PARSERS: Final = {
    "global-auth-cache-duration": lambda text: parse_durations(text or DURATION),
    "global-auth-cache-key": lambda text: parse_filled(text) if text else "",
    "global-auth-method": lambda text: parse_method(text) if text else "",
    "global-auth-request-redirect": lambda text: parse_filled(text) if text else "",
    "global-auth-response-headers": parse_header_list,
    "global-auth-signin": lambda text: parse_signin(text) if text else "",
    "global-auth-signin-redirect-param": lambda text: parse_parameter(text or "rd"),
    "global-auth-url": lambda text: parse_auth_url(text) if text.strip() else "",
}
"""What reads them. Raises MalformedError."""


class GlobalAuth(Struct, frozen=True):
    """What the keys say, by their names. ``headers``: what the ConfigMap ``proxy_set_headers`` holds; it is not read
    here."""

    url: str
    signin: str = ""
    signin_redirect_param: str = "rd"
    method: str = ""
    response_headers: tuple[str, ...] = ()
    request_redirect: str = ""
    always_set_cookie: bool = False
    cache_key: str = ""
    cache_duration: tuple[str, ...] = parse_durations(DURATION)
    proxy_set_headers: str = ""
    headers: tuple[tuple[str, str], ...] = ()


def taken_global_auth(values: dict[str, Any]) -> GlobalAuth | None:
    """What the keys among ``values`` say; these are taken out. None: nobody is asked."""
    names = [name for name in values if name.startswith(BEGINNING)]
    said = {name.removeprefix(BEGINNING).replace("-", "_"): values.pop(name) for name in names}
    return GlobalAuth(**said) if said.get("url") else None
