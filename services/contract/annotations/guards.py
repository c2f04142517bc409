"""How the values of annotations are read that say who may pass. Each reader raises MalformedError."""

from __future__ import annotations

from services.contract.addresses import NoNetworkError, networks
from services.contract.annotations.values import MalformedError


def parse_networks(text: str) -> tuple[str, ...]:
    """A list of addresses and networks. One bad entry spoils the list: it guards something."""
    try:
        return networks(text)
    except NoNetworkError as error:
        raise MalformedError(str(error)) from None
