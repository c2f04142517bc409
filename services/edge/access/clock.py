"""Times of day for lines: records carry ``time.monotonic``, lines say what the clock on the wall said then."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import repeat
from time import localtime, monotonic, strftime, time
from typing import Final

_KEPT: Final = 64


class Times:
    """Texts of times in one form, made once per second. ``form``: what makes the text of a second."""

    def __init__(self, form: Callable[[int], bytes]) -> None:
        self._form = form
        self._known: dict[int, bytes] = {}

    def __call__(self, ended: Sequence[float]) -> Iterable[bytes]:
        """A text for each of ``ended``, which are in order (nearly: what a second begins with may come late)."""
        offset = time() - monotonic()
        first, last = int(ended[0] + offset), int(ended[-1] + offset)
        if first == last:
            return repeat(self._text(first), len(ended))
        return [self._text(int(end + offset)) for end in ended]

    def _text(self, second: int) -> bytes:
        known = self._known.get(second)
        if known is None:
            if len(self._known) >= _KEPT:
                self._known.clear()
            known = self._known[second] = self._form(second)
        return known


_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def common_log_time(second: int) -> bytes:
    """``$time_local``; the months in English whatever the locale."""
    at = localtime(second)
    return strftime(f"%d/{_MONTHS[at.tm_mon - 1]}/%Y:%H:%M:%S %z", at).encode()


def iso_time(second: int) -> bytes:
    """``$time_iso8601``."""
    text = strftime("%Y-%m-%dT%H:%M:%S%z", localtime(second))
    return f"{text[:-2]}:{text[-2:]}".encode()


def syslog_time(second: int) -> bytes:
    """The time in the head of a syslog message (RFC 3164)."""
    at = localtime(second)
    return f"{_MONTHS[at.tm_mon - 1]} {at.tm_mday:2d} {at.tm_hour:02d}:{at.tm_min:02d}:{at.tm_sec:02d}".encode()


def with_milliseconds(ended: Sequence[float]) -> Iterable[bytes]:
    """``$msec``."""
    offset = time() - monotonic()
    return [b"%.3f" % (end + offset) for end in ended]
