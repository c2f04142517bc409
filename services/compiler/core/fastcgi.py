"""FastCGI endpoints: which parameters their scripts get, and what a bad ConfigMap does.

Pure. An Ingress whose ConfigMap cannot be used answers 503: its script would be another one, or none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from operator import attrgetter
from typing import Final

from proto.diagnostics import Diagnostic
from proto.policies import FastCGI
from services.compiler.core.claims import Claim
from services.compiler.core.named_maps import ConfigMapOf, Entries, Named, entries_named, map_named
from services.contract.annotations.places import check_template
from services.contract.annotations.values import MalformedError
from services.contract.configmap.read import Controller

_PARAMETERS: Final = Named("fastcgi-params-configmap", attrgetter("fastcgi_params_configmap"), "fastcgi-unusable")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_script: Final = re.compile(r"\$(?:fastcgi_script_name\b|\{fastcgi_script_name\})")


def judge_fastcgi(
    claims: Sequence[Claim],
    configmap_of: ConfigMapOf,
    controller: Controller,
    findings: list[Diagnostic],
) -> tuple[dict[str, FastCGI], frozenset[str]]:
    """(what scripts are told, by Ingress; the Ingresses whose ConfigMap is not usable)."""
    spoken: dict[str, FastCGI] = {}
    denied: set[str] = set()
    for claim in claims:
        if claim.settings.backend_protocol != "FCGI":
            continue
        parameters: Entries | None = ()
        if parameters_map(claim):
            parameters = entries_named(claim, _PARAMETERS, _problem, configmap_of, controller, findings)
        if parameters is None:
            denied.add(claim.name)
        else:
            spoken[claim.name] = FastCGI(claim.settings.fastcgi_index, parameters)
    return spoken, frozenset(denied)


def parameters_map(claim: Claim) -> str:
    """The ConfigMap (``namespace/name``) that ``fastcgi-params-configmap`` names; empty: none."""
    return map_named(claim, _PARAMETERS) if claim.settings.backend_protocol == "FCGI" else ""


def _problem(name: str, value: str) -> str:
    """Why a parameter cannot be, as a sentence without its stop; empty: it can."""
    if _NAME.fullmatch(name) is None:
        return f"{name!r} is not the name of a parameter"
    if not value.isprintable() and value:
        return f"The value of {name} has characters that cannot be printed"
    try:
        check_template(_script.sub("", value))
    except MalformedError as error:
        return f"The value of {name} {error}"
    return ""
