"""A snippet of a location or a server: taken over as data, left out with a word, or refused with what to do instead.

Owns what people are told of directives that have an annotation or a key of the ConfigMap of their own. Pure.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from proto.policies import Decorations
from services.contract.annotations.values import MalformedError
from services.contract.decorations import NOTHING, OtherDirectiveError, names_in, parse_decorations

SEARCH: Final = "Remove it; look in the documentation for an annotation that does the same."
WHOLE: Final = {
    "auth-snippet": "Remove it. Instead of proxy_set_header in it, name a ConfigMap of these headers in "
    "auth-proxy-set-headers; who is asked gets X-Original-URL and X-Original-Method anyway.",
    "stream-snippet": "Remove it. Ports of TCP and UDP stand in the ConfigMaps of --tcp-services-configmap and "
    "--udp-services-configmap.",
}
"""What to do without a snippet that is refused whatever it says."""
INSTEAD: Final = {
    "access_log": "the annotation enable-access-log",
    "add_trailer": "nothing, for no browser reads them",
    "allow": "the annotation allowlist-source-range",
    "auth_basic": "the annotations auth-type and auth-secret",
    "auth_request": "the annotation auth-url",
    "auth_request_set": "the annotation auth-response-headers",
    "client_body_buffer_size": "the annotation client-body-buffer-size",
    "client_max_body_size": "the annotation proxy-body-size",
    "deny": "the annotation denylist-source-range, for a path in an Ingress of its own",
    "error_page": "the annotations custom-http-errors and default-backend",
    "grpc_read_timeout": "the annotation proxy-read-timeout, which holds for gRPC too",
    "grpc_send_timeout": "the annotation proxy-send-timeout, which holds for gRPC too",
    "gzip": "the key use-gzip of the ConfigMap",
    "if": "by path an Ingress of its own, by header or cookie a canary",
    "internal": "the annotation denylist-source-range",
    "limit_conn": "the annotation limit-connections",
    "limit_rate": "the annotation limit-rate",
    "limit_req": "the annotations limit-rps and limit-rpm",
    "location": "a path of its own in another Ingress of the same host, with annotations of its own",
    "modsecurity": "nothing, for Limen does not inspect bodies",
    "more_clear_input_headers": "an empty value in the ConfigMap that proxy-set-headers names",
    "more_set_input_headers": "the ConfigMap that proxy-set-headers names, for all hosts",
    "proxy_buffer_size": "the annotation proxy-buffer-size",
    "proxy_buffering": "the annotation proxy-buffering",
    "proxy_buffers": "the annotations proxy-buffer-size and proxy-buffers-number",
    "proxy_cache": "a cache of its own between Limen and the Service",
    "proxy_connect_timeout": "the annotation proxy-connect-timeout",
    "proxy_cookie_domain": "the annotation proxy-cookie-domain",
    "proxy_cookie_path": "the annotation proxy-cookie-path",
    "proxy_hide_header": "the key hide-headers of the ConfigMap",
    "proxy_http_version": "the annotation proxy-http-version",
    "proxy_intercept_errors": "the annotation custom-http-errors",
    "proxy_pass": "a Service of its own, perhaps with externalName",
    "proxy_read_timeout": "the annotation proxy-read-timeout",
    "proxy_redirect": "the annotations proxy-redirect-from and proxy-redirect-to",
    "proxy_request_buffering": "the annotation proxy-request-buffering",
    "proxy_send_timeout": "the annotation proxy-send-timeout",
    "proxy_set_header": "for Host the annotation upstream-vhost, for others the ConfigMap that proxy-set-headers names "
    "for all hosts; those of WebSockets and X-Forwarded-* are sent anyway",
    "proxy_ssl_name": "the annotation proxy-ssl-name",
    "proxy_ssl_server_name": "the annotation proxy-ssl-server-name",
    "proxy_ssl_verify": "the annotation proxy-ssl-verify",
    "return": "the annotations permanent-redirect and temporal-redirect, or for a text a Service that says it",
    "rewrite": "the annotations rewrite-target and permanent-redirect",
    "satisfy": "the annotation satisfy",
    "server_tokens": "nothing, for they are off",
    "sub_filter": "nothing, for bodies are passed on as they are",
    "underscores_in_headers": "the key enable-underscores-in-headers of the ConfigMap",
}
"""What is to stand there instead, as the end of a sentence."""


class SnippetFinding(Struct, frozen=True):
    """What is said of a snippet: a diagnostic's code, message and remedy."""

    code: str
    message: str
    remedy: str


def judge_snippet(name: str, text: str, *, allowed: bool) -> tuple[Decorations, SnippetFinding | None]:
    """What the snippet under the annotation ``name`` comes to. ``allowed``: the ConfigMap switches snippets on."""
    try:
        decorations = parse_decorations(text)
    except MalformedError as error:
        return NOTHING, SnippetFinding(
            "annotation-refused",
            f"{name} annotation cannot be used. It {error}. Raw nginx configuration is never taken over.",
            _remedy(error),
        )
    if allowed or decorations == NOTHING:
        return decorations, None
    return NOTHING, SnippetFinding(
        "snippet-left-out",
        f"{name} only says which headers responses have ({', '.join(names_in(decorations))}), and is left out, for "
        "snippets are switched off. The routes are served without it.",
        "Put the headers into a ConfigMap, name that in the annotation custom-headers and list them in "
        "global-allowed-response-headers. "
        + ("The key hide-headers takes headers out. " if decorations.removed else "")
        + "Or set allow-snippet-annotations to true and annotations-risk-level to Critical.",
    )


def _remedy(error: MalformedError) -> str:
    if isinstance(error, OtherDirectiveError):
        known = [f"Instead of {name}, {INSTEAD[name]}." for name in error.directives if name in INSTEAD]
        return " ".join(["Remove it.", *known]) if known else SEARCH
    return "Correct it, or remove it and use the annotation custom-headers."
