"""Keys about who may pass, on every route. A list that guards and cannot be read closes every route."""

from __future__ import annotations

from typing import Final

from services.contract import header_blocks
from services.contract.addresses import NoNetworkError, networks
from services.contract.annotations.values import MalformedError
from services.contract.configmap.entry import Key
from services.contract.regex import RegexError

ACCESS: Final = (
    Key(
        name="block-cidrs",
        type="list",
        state="honoured",
        guards=True,
        doc="These client addresses and networks are answered 403, whatever the lists of an Ingress say.",
    ),
    Key(
        name="block-referers",
        type="list",
        state="honoured",
        guards=True,
        doc="Requests with these Referers are answered 403: a text as a whole and in any case, a pattern behind `~`, "
        "one for any case behind `~*`; with commas between.",
    ),
    Key(
        name="block-user-agents",
        type="list",
        state="honoured",
        guards=True,
        doc="Requests with these User-Agents are answered 403, written as `block-referers`.",
    ),
    Key(
        name="denylist-source-range",
        type="list",
        state="honoured",
        guards=True,
        doc="These client addresses and networks are answered 403 by Ingresses that say nothing else.",
    ),
    Key(
        name="limit-conn-status-code",
        type="int",
        default="503",
        state="honoured",
        doc="What requests beyond `limit-connections` are answered, 400 to 599.",
    ),
    Key(
        name="limit-req-status-code",
        type="int",
        default="503",
        state="honoured",
        doc="What requests beyond `limit-rps` and `limit-rpm` are answered, 400 to 599; many set 429.",
    ),
    Key(
        name="whitelist-source-range",
        type="list",
        state="honoured",
        guards=True,
        doc="Only these client addresses and networks may pass Ingresses that say nothing else.",
    ),
)


def parse_ranges(text: str) -> tuple[str, ...]:
    """Addresses and networks. Raises MalformedError."""
    items = ",".join(_items(text))
    try:
        return networks(items) if items else ()
    except NoNetworkError as error:
        raise MalformedError(str(error)) from None


def parse_forwarders(text: str) -> tuple[str, ...]:
    """The addresses and networks of a list; what is none is left out, so that nobody is believed for its sake."""
    return tuple(item for item in _items(text) if _is_network(item))


def no_forwarders(text: str) -> tuple[str, ...]:
    """What ``parse_forwarders`` leaves out, each as the end of a sentence about the value."""
    return tuple(f"holds {item!r}, which is no address or network" for item in _items(text) if not _is_network(item))


def _items(text: str) -> list[str]:
    return [item for part in text.split(",") if (item := part.strip())]


def _is_network(item: str) -> bool:
    try:
        networks(item)
    except NoNetworkError:
        return False
    return True


def parse_refusal(text: str) -> int:
    """The status of those who ask too much (nginx takes 400 to 599). Raises MalformedError."""
    if not (text.isascii() and text.isdigit() and len(text) == 3 and 400 <= int(text) <= 599):
        raise MalformedError("is no status between 400 and 599")
    return int(text)


def parse_blocks(text: str) -> tuple[str, ...]:
    """Texts and patterns of headers that are blocked. Raises MalformedError."""
    try:
        return header_blocks.entries(text)
    except RegexError as error:
        raise MalformedError(f"holds a pattern that cannot be run: {error}") from None
