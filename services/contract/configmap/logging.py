"""Keys of the access log and of request ids, all honoured, and how those of their values are read that need care."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from proto.resources import Settings
from services.contract import regex
from services.contract.annotations.values import MalformedError
from services.contract.configmap.entry import Key
from services.contract.variables.registry import known
from services.contract.variables.streams import STREAM_VARIABLES
from services.contract.variables.template import TemplateError, parse_template

LONGEST_FORMAT: Final = 16 * 1024
"""Characters of a log format that make sense."""

LOGGING: Final = (
    Key(
        name="access-log-path",
        type="string",
        default=Settings().access_log_path,
        state="honoured",
        doc="The file that requests are logged to; the default is the edge's standard output, as `/dev/stdout` is.",
    ),
    Key(
        name="disable-access-log",
        type="bool",
        default="false",
        state="honoured",
        doc="Requests are not logged.",
    ),
    Key(
        name="disable-http-access-log",
        type="bool",
        default="false",
        state="honoured",
        doc="Requests are not logged.",
    ),
    Key(
        name="enable-access-log-for-default-backend",
        type="bool",
        default="false",
        state="honoured",
        doc="Requests for hosts that nobody declared are logged too.",
    ),
    Key(
        name="enable-syslog",
        type="bool",
        default="false",
        state="honoured",
        doc="Requests are logged to `syslog-host` (UDP) and not to a file.",
    ),
    Key(
        name="generate-request-id",
        type="bool",
        default="true",
        state="honoured",
        doc="A request without X-Request-ID is given one.",
    ),
    Key(
        name="http-access-log-path",
        type="string",
        state="honoured",
        doc="The file that requests are logged to, before `access-log-path`.",
    ),
    Key(
        name="log-format-escape-json",
        type="bool",
        default="false",
        state="honoured",
        doc="Values are escaped for JSON, and those that are absent are empty.",
    ),
    Key(
        name="log-format-escape-none",
        type="bool",
        default="false",
        state="honoured",
        doc="Values are not escaped (but line ends become blanks); this one wins over the other.",
    ),
    Key(
        name="log-format-upstream",
        type="string",
        default=Settings().log_format_upstream,
        state="honoured",
        doc="The form of a line, with variables.",
    ),
    Key(
        name="skip-access-log-urls",
        type="list",
        state="honoured",
        doc="Requests for these targets, query included, are not logged; `~` begins a pattern, `~*` one for any case.",
    ),
    Key(name="syslog-host", type="string", state="honoured", doc="The syslog server."),
    Key(name="syslog-port", type="int", default="514", state="honoured", doc="Its port."),
)

_ESCAPED: Final = re.compile(r"\\([\"'\\trn])")
_PLAIN: Final = {"t": "\t", "r": "\r", "n": "\n"}


def parse_log_format(text: str, default: str = Settings().log_format_upstream) -> str:
    """A format as nginx reads it out of quotes, where a backslash takes away what quotes and backslashes mean."""
    if len(text) > LONGEST_FORMAT:
        raise MalformedError(f"is longer than {LONGEST_FORMAT} characters")
    form = _ESCAPED.sub(lambda match: _PLAIN.get(match[1], match[1]), text)
    try:
        parse_template(form)
    except TemplateError as error:
        raise MalformedError(str(error)) from None
    return form if form.strip() else default


def absent_variables(form: str) -> Iterator[str]:
    """A sentence for each variable of a format that never has a value."""
    for name in parse_template(form).names:
        found = known(name)
        if found is None:
            yield f"${name} is no variable that nginx or ingress-nginx has"
        elif found.since == "never":
            yield f"${name} has no value here: {found.doc}"


def absent_stream_variables(form: str) -> Iterator[str]:
    """A sentence for each variable of a format of streams that never has a value."""
    for name in parse_template(form).names:
        if name not in STREAM_VARIABLES:
            yield f"${name} has no value in the log of TCP and UDP services"


def parse_log_path(text: str) -> str:
    """The path of a file; empty: the default holds."""
    path = text.strip()
    if path and (not path.startswith("/") or "\0" in path):
        raise MalformedError("is not the absolute path of a file")
    return path


def parse_skipped(text: str) -> tuple[str, ...]:
    """Targets and patterns, with commas between."""
    entries = tuple(entry.strip() for entry in text.split(",") if entry.strip())
    for entry in entries:
        if entry.startswith("~"):
            try:
                regex.compile(entry.removeprefix("~").removeprefix("*"))
            except regex.RegexError as error:
                raise MalformedError(f"holds {entry!r}, which is no pattern: {error}") from None
    return entries


def parse_port(text: str) -> int:
    """A port."""
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 0 < int(text) < 65536:
        raise MalformedError("is no port")
    return int(text)
