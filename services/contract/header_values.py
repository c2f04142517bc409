"""Names and values of headers as users write them, and what replaces what in heads of endpoints.

Source: ingress-nginx's validators (contract section 1.2), nginx's ``proxy_redirect`` and ``proxy_cookie_*``. Patterns
(``~``) and variables in what is looked for are not read.
"""

from __future__ import annotations

import re
from typing import Final

from services.contract.annotations.values import MalformedError

_NAME: Final = re.compile(r"[A-Za-z0-9_-]+")
_VALUE: Final = re.compile(r"[A-Za-z0-9_ :;.,\\/\"'?!(){}\[\]@<>=\-+*#$&`|~^%]+")
_ADDRESS: Final = re.compile(r"[A-Za-z0-9\-._~/:?&=]+")
_WORD: Final = re.compile(r"[A-Za-z0-9\-._/:]+")
_REFERENCE: Final = re.compile(r"(?:[a-z0-9][-a-z0-9]*/)?[a-z0-9][-.a-z0-9]*")
OFF: Final = "off"


def header_problem(name: str, value: str) -> str:
    """Why ``name: value`` cannot be a header, as a sentence without its stop; empty: it can."""
    if _NAME.fullmatch(name) is None:
        return f"{name!r} is no name of a header"
    if _VALUE.fullmatch(value) is None:
        return f"The value of {name} has characters that it cannot have"
    return ""


def parse_header_list(text: str) -> tuple[str, ...]:
    """Names of headers with commas between, each once."""
    names = _items(text)
    for name in names:
        if _NAME.fullmatch(name) is None:
            raise MalformedError(f"holds {name!r}, which is no name of a header")
    return tuple(dict.fromkeys(names))


def header_names(text: str) -> tuple[str, ...]:
    """The same, without those that are none."""
    return tuple(dict.fromkeys(name for name in _items(text) if _NAME.fullmatch(name)))


def no_header_names(text: str) -> tuple[str, ...]:
    """What ``header_names`` leaves out, each as the end of a sentence about the value."""
    return tuple(f"holds {name!r}, which is no name of a header" for name in _items(text) if not _NAME.fullmatch(name))


def _items(text: str) -> list[str]:
    return [item for part in text.split(",") if (item := part.strip())]


def parse_redirect_part(text: str) -> str:
    """What ``proxy-redirect-from`` or ``-to`` says: an address, a path, or ``off``; ``default`` is ``off``, as no
    endpoint names what nginx's would look for."""
    text = text.strip()
    if text in ("", "default"):
        return OFF
    if text.startswith("~"):
        raise MalformedError("is a pattern; write the beginning of the address as it is")
    if _ADDRESS.fullmatch(text) is None:
        raise MalformedError("is not an address: letters, digits and -._~/:?&= are admitted")
    return text


def parse_reference(text: str) -> str:
    """``name`` or ``namespace/name`` of an object."""
    if _REFERENCE.fullmatch(text.strip()) is None:
        raise MalformedError("is neither name nor namespace/name")
    return text.strip()


def parse_version(text: str) -> str:
    """The version of HTTP that endpoints are spoken to in."""
    if text.strip() not in ("1.0", "1.1"):
        raise MalformedError("is neither 1.0 nor 1.1")
    return text.strip()


def parse_replacement(text: str) -> tuple[str, ...]:
    """``what instead`` as (what, instead); ``off`` is empty."""
    words = text.split()
    if words in ([], [OFF]):
        return ()
    if len(words) != 2:
        raise MalformedError("is not two words, what to look for and what to put there")
    for word in words:
        if _WORD.fullmatch(word) is None:
            raise MalformedError(f"holds {word!r}: letters, digits and -._/: are admitted, no patterns, no variables")
    return tuple(words)
