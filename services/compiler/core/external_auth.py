"""The other server that is asked who may pass: what an Ingress' annotations say of it, or the ConfigMap for all.

Pure. An Ingress whose ConfigMap of headers cannot be used answers 503: never open (contract section 1.1, P7).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Final

from msgspec.structs import replace

from proto.diagnostics import Diagnostic
from proto.objects import ConfigMap, ObjectKey
from proto.policies import ExternalAuth
from services.compiler.core.claims import Claim
from services.compiler.core.named_headers import line_problem
from services.compiler.core.named_maps import (
    ConfigMapOf,
    Entries,
    Named,
    configmap_name,
    entries_named,
    first_problem,
    map_named,
)
from services.contract.annotations.settings import AnnotationSettings
from services.contract.configmap.read import Controller, Reading
from services.contract.diagnostics import finding

GLOBAL_HEADERS: Final = "global-auth-proxy-set-headers"
_HEADERS: Final = Named("auth-proxy-set-headers", attrgetter("auth_proxy_set_headers"), "auth-headers-unusable")


def judge_external_auth(
    claims: Sequence[Claim],
    configmap_of: ConfigMapOf,
    controller: Controller,
    findings: list[Diagnostic],
) -> tuple[dict[str, ExternalAuth], frozenset[str]]:
    """(who is asked, by Ingress; the Ingresses whose ConfigMap is not usable)."""
    asked: dict[str, ExternalAuth] = {}
    denied: set[str] = set()
    for claim in claims:
        policy = external_auth_of(claim.settings)
        if policy is None:
            continue
        headers: Entries | None = ()
        if auth_headers_map(claim):
            headers = entries_named(claim, _HEADERS, line_problem, configmap_of, controller, findings)
        if headers is None:
            denied.add(claim.name)
        else:
            asked[claim.name] = replace(policy, headers=headers)
    return asked, frozenset(denied)


def external_auth_of(settings: AnnotationSettings) -> ExternalAuth | None:
    """Who the Ingress says is asked; the headers of its ConfigMap are not in it."""
    if not settings.auth_url:
        return None
    return ExternalAuth(
        settings.auth_url,
        settings.auth_signin,
        settings.auth_signin_redirect_param,
        settings.auth_method,
        settings.auth_response_headers,
        settings.auth_request_redirect,
        (),
        settings.auth_always_set_cookie,
        settings.auth_cache_key,
        lifetimes_of(settings.auth_cache_duration),
    )


def auth_headers_map(claim: Claim) -> str:
    """The ConfigMap (``namespace/name``) that ``auth-proxy-set-headers`` names; empty: none."""
    return map_named(claim, _HEADERS) if claim.settings.auth_url else ""


def global_auth_of(controller: Controller) -> ExternalAuth | None:
    """Who the ConfigMap says is asked for Ingresses that say nothing of it."""
    values = controller.global_auth
    if values is None:
        return None
    return ExternalAuth(
        values.url,
        values.signin,
        values.signin_redirect_param,
        values.method,
        values.response_headers,
        values.request_redirect,
        values.headers,
        values.always_set_cookie,
        values.cache_key,
        lifetimes_of(values.cache_duration),
    )


def with_auth_headers(reading: Reading, configmaps: Mapping[str, ConfigMap], controller_map: str) -> Reading:
    """``reading`` of the ConfigMap ``controller_map`` with the headers that ``global-auth-proxy-set-headers`` names.
    Where they cannot be had, nobody is asked with less than was meant: the routes are closed."""
    controller = reading.controller
    name = global_headers_map(controller, controller_map)
    if not name or controller.global_auth is None:
        return reading
    configmap = configmaps.get(name)
    headers = () if configmap is None else tuple(sorted(configmap.data.items()))
    problem = f"ConfigMap {name} does not exist" if configmap is None else first_problem(headers, line_problem)
    if not problem:
        asked = replace(controller.global_auth, headers=headers)
        return replace(reading, controller=replace(controller, global_auth=asked))
    namespace, _, own = controller_map.partition("/")
    note = finding(
        ObjectKey("configmap", namespace, own),
        "configmap-denied",
        f"data[{GLOBAL_HEADERS}]",
        controller.global_auth.proxy_set_headers,
        f"{problem}. The routes that global-auth-url would be asked about answer 503.",
        "Create or correct the ConfigMap.",
    )
    closed = replace(controller, guarded_by_auth=GLOBAL_HEADERS)
    return replace(reading, controller=closed, diagnostics=(*reading.diagnostics, note))


def global_headers_map(controller: Controller, controller_map: str) -> str:
    """The ConfigMap (``namespace/name``) that ``global-auth-proxy-set-headers`` names; empty: none."""
    text = "" if controller.global_auth is None else controller.global_auth.proxy_set_headers
    return configmap_name(text, controller_map.partition("/")[0]) if text else ""


def lifetimes_of(words: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """``status seconds`` as numbers; ``any`` is 0."""
    pairs = [word.split(" ") for word in words]
    return tuple((0 if status == "any" else int(status), int(seconds)) for status, seconds in pairs)
