"""Log lines, for people (text) or for programs (one JSON object a line), on standard error.

Owns the form of a line. Modules use ``logging.getLogger(__name__)``; values that a program may want to find go in as
fields, through ``log``. Access logs do not pass here.
"""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from typing import Any

import msgspec

_LIBRARIES = ("aiohttp", "asyncio", "kubernetes", "nats", "urllib3")


def setup(role: str, json: bool, level: int = logging.INFO) -> None:
    """Send every log line of this process to standard error. ``role`` names the process, e.g. ``edge edge-1``."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(role) if json else TextLines(role))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for library in _LIBRARIES:
        logging.getLogger(library).setLevel(logging.WARNING)


def log(logger: logging.Logger, level: int, message: str, /, **fields: Any) -> None:
    """Log ``message`` with named values (numbers, strings, lists of such). Never put a secret in."""
    if logger.isEnabledFor(level):
        logger.log(level, message, extra={"fields": fields}, stacklevel=2)


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    fields = getattr(record, "fields", None)
    return fields if isinstance(fields, dict) else {}


class JsonLines(logging.Formatter):
    """``{"time", "level", "role", "logger", "message", …fields, "exception"}``."""

    def __init__(self, role: str) -> None:
        super().__init__()
        self._role = role

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "role": self._role,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line.update((name, value) for name, value in _fields(record).items() if name not in line)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line, enc_hook=str).decode()


class TextLines(logging.Formatter):
    """``12:30:01.123 INFO  edge edge-1  message  name=value``; line ends inside a message are made visible."""

    def __init__(self, role: str) -> None:
        super().__init__()
        self._role = role

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S.%f")[:-3]
        message = record.getMessage().replace("\n", "\\n").replace("\r", "\\r")
        fields = "".join(f" {name}={_shown(value)}" for name, value in _fields(record).items())
        line = f"{time} {record.levelname:<7} {self._role}  {message}{fields}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


def _shown(value: Any) -> str:
    text = str(value)
    return text if text and all(c.isprintable() and not c.isspace() and c != '"' for c in text) else repr(text)
