"""ModSecurity for all hosts, which Limen does not have: what becomes of requests that it would have looked at.

Owns that one decision. As ingress-nginx ships it, ModSecurity only writes down what it finds (``SecRuleEngine
DetectionOnly``): without it nothing passes that was kept out before, so the hosts are served, with an error that says
what is missing. Where ``modsecurity-snippet`` makes it keep requests out (``SecRuleEngine On``), all routes are closed:
an administrator has asked for a guard that nobody can give, and who cannot know that must not stand open.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from services.contract.annotations.values import MalformedError, parse_bool
from services.contract.configmap.entry import Key

INSTEAD: Final = "Put a web application firewall in front of Limen, or before the Services, and then remove it."
DOC: Final = "Limen has no ModSecurity, and will have none."

FIREWALL: Final = (
    Key(name="enable-modsecurity", type="bool", default="false", state="refused", doc=DOC),
    Key(name="enable-owasp-modsecurity-crs", type="bool", default="false", state="refused", doc=DOC),
    Key(name="modsecurity-snippet", type="snippet", state="refused", doc=DOC),
)

_engine: Final = re.compile(r"^[ \t]*SecRuleEngine[ \t]+\"?([A-Za-z]+)", re.IGNORECASE | re.MULTILINE)


def keeps_out(data: Mapping[str, str]) -> bool:
    """Whether requests are kept out by ModSecurity as the ConfigMap ``data`` sets it up: it is on, and the last
    ``SecRuleEngine`` says so."""
    try:
        enabled = parse_bool(data.get("enable-modsecurity") or "false")
    except MalformedError:
        return False
    engines = _engine.findall(data.get("modsecurity-snippet", ""))
    return enabled and bool(engines) and str(engines[-1]).lower() == "on"
