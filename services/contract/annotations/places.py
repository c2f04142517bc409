"""How values of routing annotations are read: addresses to redirect to, further names of hosts, statuses, templates.

Each takes the text of a manifest and returns a value, or raises MalformedError. Source: ingress-nginx's validators
(contract sections 1.1 and 1.2).
"""

from __future__ import annotations

import re
from typing import Final

from services.contract import regex
from services.contract.annotations.values import MalformedError
from services.contract.variables.registry import known
from services.contract.variables.template import TemplateError, parse_template

_REDIRECT: Final = re.compile(r"[A-Za-z0-9\-._~/:?&=]+")
_STATUS: Final = re.compile(r"[45][0-9]{2}")
_INDEX: Final = re.compile(r"[A-Za-z0-9._/-]{1,200}")
_NAME: Final = re.compile(r"(?:\*\.)?[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?(?:\.\*)?")
_PREFIX: Final = re.compile(r"/?[A-Za-z0-9\-._~/:$]*")
_HOST: Final = re.compile(r"[A-Za-z0-9\-._~:$\[\]{}]+")
_MAX_NAME: Final = 253
_BINARY: Final = re.compile(r"\$(?:binary_remote_addr\b|\{binary_remote_addr\})", re.IGNORECASE)


def parse_redirect(text: str) -> str:
    """Where ``permanent-redirect`` leads: an address or a path, without variables."""
    if "$" in text:
        raise MalformedError("holds a variable; rewrite-target: https://HOST/$1 with the path /(.*) keeps the path")
    if _REDIRECT.fullmatch(text) is None:
        raise MalformedError("is not an address: letters, digits and -._~/:?&= are admitted")
    return text


def parse_temporal_redirect(text: str) -> str:
    """Where ``temporal-redirect`` leads: the same; empty for what does not begin with http:// or https://."""
    return "" if no_temporal_redirect(parse_redirect(text)) else text


def no_temporal_redirect(text: str) -> tuple[str, ...]:
    """Why an address is passed over that ``parse_redirect`` takes, as the end of a sentence about it."""
    return () if text.startswith(("http://", "https://")) else ("does not begin with http:// or https://",)


def parse_aliases(text: str) -> tuple[str, ...]:
    """Names as nginx's ``server_name`` has them, with commas between, each once, in order."""
    names: dict[str, None] = {}
    for item in text.split(","):
        name = item.strip()
        if name.startswith("~"):
            try:
                regex.compile(name[1:])
            except regex.RegexError as error:
                raise MalformedError(f"holds {name!r}, which is no pattern: {error}") from None
        elif name:
            name = name.lower()
            if _NAME.fullmatch(name.removeprefix(".")) is None or len(name) > _MAX_NAME or ".." in name:
                raise MalformedError(f"holds {name!r}, which is no name of a host")
        if name.startswith("."):  # short for both
            names |= dict.fromkeys((name[1:], f"*{name}"))
        elif name:
            names[name] = None
    return tuple(names)


def parse_statuses(text: str) -> tuple[int, ...]:
    """Statuses of errors with commas between, each once, sorted."""
    items = [item for part in text.split(",") if (item := part.strip())]
    for item in items:
        if _STATUS.fullmatch(item) is None:
            raise MalformedError(f"holds {item!r}, which is no status from 400 to 599")
    return tuple(sorted({int(item) for item in items}))


def parse_prefix(text: str) -> str:
    """A value of X-Forwarded-Prefix; groups of the path may stand in it."""
    if _PREFIX.fullmatch(text) is None:
        raise MalformedError("has characters that a prefix cannot have")
    return text


def parse_upstream_host(text: str) -> str:
    """A value of Host, which may hold nginx variables."""
    if _HOST.fullmatch(text) is None:
        raise MalformedError("has characters that a host cannot have")
    check_template(text)
    return text


def parse_index(text: str) -> str:
    """The name of a file, perhaps below a folder."""
    if _INDEX.fullmatch(text) is None:
        raise MalformedError("is not the name of a file")
    return text


def parse_operation(text: str) -> str:
    """The name of a span, which may hold variables that a request has from its beginning."""
    name = text.strip()
    if len(name) > 1024 or not name.isprintable():
        raise MalformedError("is longer than 1024 characters, or has some that cannot be printed")
    check_template(name)
    return name


def parse_key(text: str) -> str:
    """What tells requests apart, with variables. ``$binary_remote_addr``, which is short and no text, is taken for
    ``$remote_addr``: both tell the same clients apart."""
    key = _BINARY.sub("${remote_addr}", text)
    check_template(key)
    return key


def check_template(text: str) -> None:
    """Raises MalformedError for text whose variables cannot be filled in while a request is on its way."""
    try:
        names = parse_template(text).names
    except TemplateError as error:
        raise MalformedError(str(error)) from None
    for name in names:
        found = known(name)
        if found is None:
            raise MalformedError(f"names ${name}, which is no variable of nginx")
        if found.since == "never":
            raise MalformedError(f"names ${name}, which is always empty here: {found.doc}")
        if found.since == "response":
            raise MalformedError(f"names ${name}, which has no value before the response")
