"""All keys of the ConfigMap, by name."""

from __future__ import annotations

from typing import Final

from services.contract.configmap.access import ACCESS
from services.contract.configmap.bodies import BODIES
from services.contract.configmap.compression import COMPRESSION
from services.contract.configmap.entry import Key
from services.contract.configmap.external import EXTERNAL
from services.contract.configmap.firewall import FIREWALL
from services.contract.configmap.heads import HEADS
from services.contract.configmap.honoured import HONOURED
from services.contract.configmap.listening import LISTENING
from services.contract.configmap.logging import LOGGING
from services.contract.configmap.never import REFUSED, WITHOUT_EFFECT
from services.contract.configmap.routing import ROUTING
from services.contract.configmap.streams import STREAMS
from services.contract.configmap.tls import TLS
from services.contract.configmap.tracing import TRACING

KEYS: Final[dict[str, Key]] = {
    key.name: key
    for key in (
        *HONOURED,
        *ACCESS,
        *BODIES,
        *COMPRESSION,
        *EXTERNAL,
        *FIREWALL,
        *HEADS,
        *LISTENING,
        *LOGGING,
        *ROUTING,
        *STREAMS,
        *TLS,
        *TRACING,
        *REFUSED,
        *WITHOUT_EFFECT,
    )
}
"""Every key of ingress-nginx's ConfigMap by its name."""
