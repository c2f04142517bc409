"""ConfigMaps that hold headers: what each line of them comes to.

Pure. Owns the reading of them for the whole instance (``add-headers``, ``proxy-set-headers``).
"""

from __future__ import annotations

from collections.abc import Mapping

from proto.diagnostics import Diagnostic
from proto.objects import ConfigMap, ObjectKey
from services.compiler.core.named_maps import Entries, configmap_name
from services.contract.annotations.places import check_template
from services.contract.annotations.values import MalformedError
from services.contract.diagnostics import finding
from services.contract.header_values import header_problem


def headers_for_all(
    key: str, text: str, controller_map: str, configmaps: Mapping[str, ConfigMap], findings: list[Diagnostic]
) -> Entries:
    """The headers in the ConfigMap that ``key`` of the controller's ConfigMap names by ``text``, sorted by name; those
    that cannot be are named and left out. An empty value stands for itself: it takes a header out."""
    if not text:
        return ()
    namespace, _, own = controller_map.partition("/")
    name = configmap_name(text, namespace)
    configmap = configmaps.get(name)
    if configmap is None:
        where = ObjectKey("configmap", namespace, own)
        message = f"ConfigMap {name} does not exist. {key} has no effect."
        findings.append(finding(where, "headers-unusable", f"data[{key}]", text, message, "Create it."))
        return ()
    found = []
    for header, value in sorted(configmap.data.items()):
        problem = line_problem(header, value)
        if problem:
            where = ObjectKey("configmap", configmap.namespace, configmap.name)
            message = f"{problem}. This header is left out of {key}."
            findings.append(finding(where, "headers-unusable", f"data[{header}]", value, message, "Correct it."))
        else:
            found.append((header, value))
    return tuple(found)


def line_problem(header: str, value: str) -> str:
    """Why a header with a template for its value cannot be, as a sentence without its stop; empty: it can."""
    problem = header_problem(header, value or "-")
    if problem:
        return problem
    try:
        check_template(value)
    except MalformedError as error:
        return f"The value of {header} {error}"
    return ""
