"""How values are read: booleans and numbers as Go reads them, text line by line, each against its alphabet.

Each reader takes the text of a manifest and returns a value, or raises MalformedError with the reason in a few words.
Source of the rules: contract section 1.1 (P2, P4).
"""

from __future__ import annotations

import re
from typing import Final

from services.contract import regex
from services.contract.annotations.entry import Annotation, Value

_TRUE: Final = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE: Final = frozenset({"0", "f", "F", "FALSE", "false", "False"})
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,60}")
_SIZE: Final = re.compile(r"([0-9]{1,19})([kKmMgG]?)")
_LARGEST_SIZE: Final = 2**63 - 1
_SIZE_UNITS: Final = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}
_SERVICE_NAME: Final = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_TARGET: Final = re.compile(r"/?[-._~a-zA-Z0-9/:$]*")
_ADDRESS: Final = re.compile(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?([/?][!#%&()*+,./0-9:=?@A-Z_a-z~-]*)?")
_ABSOLUTE: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")

CONDITIONS: Final = (
    "error",
    "timeout",
    "invalid_header",
    "http_500",
    "http_502",
    "http_503",
    "http_504",
    "http_403",
    "http_404",
    "http_429",
    "non_idempotent",
    "off",
)
"""What ``proxy-next-upstream`` may name."""

_REFERENCE: Final = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?/[a-z0-9](?:[-.a-z0-9]*[a-z0-9])?")
_TLS_VERSIONS: Final = ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")
_CIPHERS: Final = re.compile(r"[-A-Za-z0-9+:_!]{1,1000}")
_AS_THEY_STAND: Final = ("bool", "int", "count", "seconds", "snippet")
_SERVER_NAME: Final = re.compile(r"[a-z0-9_](?:[-a-z0-9_.]*[a-z0-9_])?")


class MalformedError(ValueError):
    """A value that cannot be read; the message completes the sentence "the value …"."""


def parse_bool(text: str) -> bool:
    """As Go's ``strconv.ParseBool``: ``yes`` and ``on`` are no booleans."""
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise MalformedError("is not a boolean")


def parse_int(text: str) -> int:
    """As Go's ``strconv.Atoi``: no unit, no spaces, 64 bits."""
    if _INTEGER.fullmatch(text) is None or not -(2**63) <= int(text) < 2**63:
        raise MalformedError("is not a whole number")
    return int(text)


def parse_count(text: str) -> int:
    """A whole number, not negative."""
    number = parse_int(text)
    if number < 0:
        raise MalformedError("is negative")
    return number


def parse_size(text: str) -> int:
    """Bytes as nginx writes them: ``1000``, ``8k``, ``1M``, ``2g``."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise MalformedError("is not a size such as 8k, 1m or 2g")
    size = int(match[1]) * _SIZE_UNITS[match[2].lower()]
    if size > _LARGEST_SIZE:
        raise MalformedError("is larger than a size can be")
    return size


def parse_conditions(text: str) -> tuple[str, ...]:
    """After which failures another endpoint is tried: the words of nginx's ``proxy_next_upstream``."""
    words = tuple(text.split())
    for word in words:
        if word not in CONDITIONS:
            raise MalformedError(f"holds {word!r}, which is none of {', '.join(CONDITIONS)}")
    if not words:
        raise MalformedError("names no condition")
    return words


def parse_string(text: str) -> str:
    """The text with every line trimmed."""
    return "\n".join(line.strip() for line in text.split("\n"))


def parse_service_name(text: str) -> str:
    """The name of a Service (RFC 1035 label)."""
    if _SERVICE_NAME.fullmatch(text) is None:
        raise MalformedError("is not the name of a Service")
    return text


def parse_target(text: str) -> str:
    """A rewrite target: a path or address that may hold ``$1`` … ``$9``."""
    if _TARGET.fullmatch(text) is None:
        raise MalformedError("has characters that a target cannot have")
    return text


def parse_local_path(text: str) -> str:
    """A path on the same host; an absolute address is refused."""
    if _TARGET.fullmatch(text) is None:
        raise MalformedError("has characters that a path cannot have")
    if _ABSOLUTE.match(text):
        raise MalformedError("is an absolute address, not a path")
    if not text.startswith("/"):
        raise MalformedError("does not begin with /")
    if "$" in text:
        raise MalformedError("names a variable")
    return text


def parse_choice(entry: Annotation, text: str) -> str:
    """One of the entry's admitted words."""
    if text not in entry.values:
        raise MalformedError(f"is none of {', '.join(entry.values)}")
    return text


def parse_secret(text: str) -> str:
    """``namespace/name``."""
    if _REFERENCE.fullmatch(text) is None:
        raise MalformedError("is not namespace/name")
    return text


def parse_tls_versions(text: str) -> tuple[str, ...]:
    """Versions as nginx spells them, each once, in order; SSL 2 and 3, which nobody speaks any more, are left out."""
    words = text.split()
    if any(word not in _TLS_VERSIONS and word not in ("SSLv2", "SSLv3") for word in words):
        raise MalformedError(f"names a version that is none of {', '.join(_TLS_VERSIONS)}")
    versions = tuple(version for version in _TLS_VERSIONS if version in words)
    if not versions:
        raise MalformedError("names no version of TLS")
    return versions


def parse_ciphers(text: str) -> str:
    """A list of ciphers as OpenSSL reads it; whether it knows them, only an edge can tell."""
    if _CIPHERS.fullmatch(text) is None:
        raise MalformedError("is no list of ciphers")
    return text


def parse_server_name(text: str) -> str:
    """A name that a certificate may have."""
    name = text.strip().lower()
    if len(name) > 253 or _SERVER_NAME.fullmatch(name) is None:
        raise MalformedError("is not the name of a server")
    return name


def parse_address(text: str) -> str:
    """An absolute address, without variables."""
    if _ADDRESS.fullmatch(text) is None:
        raise MalformedError("is not an address that begins with http:// or https://")
    return text


def parse_subject(text: str) -> str:
    """A pattern that the subject of a certificate is searched for; it begins with ``CN=``."""
    if not text.startswith("CN="):
        raise MalformedError("does not begin with CN=")
    try:
        regex.compile(text, ignore_case=False)
    except regex.RegexError as error:
        raise MalformedError(f"is no pattern: {error}") from None
    return text


def trimmed(entry: Annotation, text: str) -> str:
    """``text`` as its reader gets it: numbers and booleans as they stand, of everything else every line trimmed."""
    return text if entry.type in _AS_THEY_STAND else parse_string(text)


def parse_value(entry: Annotation, text: str) -> Value:
    """``text`` as ``entry`` types it. Raises MalformedError."""
    if entry.parse is not None:
        return entry.parse(text)
    match entry.type:
        case "bool":
            return parse_bool(text)
        case "int":
            return parse_int(text)
        case "count" | "seconds":
            return parse_count(text)
        case "size":
            return parse_size(text)
        case "conditions":
            return parse_conditions(text)
        case "switch":
            return parse_choice(entry, text)
        case "word":
            return parse_choice(entry, text.strip().upper())
        case "secret":
            return parse_secret(text)
        case "tls-versions":
            return parse_tls_versions(text)
        case "ciphers":
            return parse_ciphers(text)
        case "server-name":
            return parse_server_name(text)
        case "address":
            return parse_address(text)
        case "subject":
            return parse_subject(text)
        case "path":
            return parse_local_path(text)
        case "target":
            return parse_target(text)
        case "service":
            return parse_service_name(text)
        case _:
            return parse_string(text)


def same_value(entry: Annotation, text: str) -> bool:
    """Whether ``text`` says no more than the entry's default does."""
    if not entry.default:
        return False
    try:
        return parse_value(entry, text) == parse_value(entry, entry.default)
    except MalformedError:
        return False
