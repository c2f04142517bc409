"""FastCGI endpoints: which parameters their scripts get, and what a bad ConfigMap does.

Pure. An Ingress whose ConfigMap cannot be used answers 503: its script would be another one, or none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from proto.diagnostics import Diagnostic
from proto.objects import ConfigMap
from proto.policies import FastCGI
from services.compiler.core.claims import Claim
from services.compiler.core.named_headers import configmap_name, map_problem
from services.contract.annotations.entry import PREFIX
from services.contract.annotations.places import check_template
from services.contract.annotations.values import MalformedError
from services.contract.configmap.read import Controller
from services.contract.diagnostics import annotation_field, finding

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_script: Final = re.compile(r"\$(?:fastcgi_script_name\b|\{fastcgi_script_name\})")


def judge_fastcgi(
    claims: Sequence[Claim],
    configmap_of: Callable[[str], ConfigMap | None],
    controller: Controller,
    findings: list[Diagnostic],
) -> tuple[dict[str, FastCGI], frozenset[str]]:
    """(what scripts are told, by Ingress; the Ingresses whose ConfigMap is not usable)."""
    spoken: dict[str, FastCGI] = {}
    denied: set[str] = set()
    for claim in claims:
        if claim.settings.backend_protocol != "FCGI":
            continue
        name = parameters_map(claim)
        parameters: dict[str, str] = {}
        if name:
            configmap = configmap_of(name)
            problem = map_problem(name, configmap, claim.key.namespace, controller)
            if configmap is not None:
                parameters = configmap.data
                problem = problem or _problem_of(parameters)
            if problem:
                denied.add(claim.name)
                findings.append(_unusable(claim, problem))
                continue
        spoken[claim.name] = FastCGI(claim.settings.fastcgi_index, tuple(sorted(parameters.items())))
    return spoken, frozenset(denied)


def parameters_map(claim: Claim) -> str:
    """The ConfigMap (``namespace/name``) that ``fastcgi-params-configmap`` names; empty: none."""
    text = claim.settings.fastcgi_params_configmap
    return configmap_name(text, claim.key.namespace) if text and claim.settings.backend_protocol == "FCGI" else ""


def _problem_of(parameters: dict[str, str]) -> str:
    return next(filter(None, (_problem(*parameter) for parameter in sorted(parameters.items()))), "")


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


def _unusable(claim: Claim, problem: str) -> Diagnostic:
    return finding(
        claim.key,
        "fastcgi-unusable",
        annotation_field(f"{PREFIX}fastcgi-params-configmap"),
        claim.settings.fastcgi_params_configmap,
        f"{problem}. The routes of this Ingress answer 503.",
        "Create or correct the ConfigMap.",
    )
