"""How the values of annotations are read that say who may pass. Each reader raises MalformedError."""

from __future__ import annotations

import re
from typing import Final

from services.contract.addresses import NoNetworkError, networks
from services.contract.annotations.values import MalformedError


def parse_networks(text: str) -> tuple[str, ...]:
    """A list of addresses and networks. One bad entry spoils the list: it guards something."""
    try:
        return networks(text)
    except NoNetworkError as error:
        raise MalformedError(str(error)) from None


_NAME: Final = r"[a-z0-9](?:[-.a-z0-9]{0,251}[a-z0-9])?"
_SECRET: Final = re.compile(f"(?:{_NAME}/)?{_NAME}")
_REALM: Final = re.compile(r"[^\x00-\x1f\x7f]{1,500}")


def parse_auth_type(text: str) -> str:
    """How a password is asked for; anything else cannot be read, so it is never open."""
    if text not in ("basic", "digest"):
        raise MalformedError("is none of basic, digest")
    return text


def parse_secret_name(text: str) -> str:
    """The name of a Secret, perhaps with its namespace."""
    if _SECRET.fullmatch(text) is None:
        raise MalformedError("is not the name of a Secret, with or without its namespace")
    return text


def parse_realm(text: str) -> str:
    """What browsers show beside the question for a password."""
    if _REALM.fullmatch(text) is None:
        raise MalformedError("is no line of text")
    return text
