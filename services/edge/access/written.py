"""Numbers, times and addresses as text, remembered: a look-up costs less than writing them anew for every request."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import repeat
from operator import sub
from typing import Final, TypeVar

from services.edge.traffic import alike

_Key = TypeVar("_Key", int, str)

_REMEMBERED: Final = 1 << 16


class Digits(dict[int, bytes]):
    """The digits of a number; small ones are kept."""

    def __missing__(self, number: int) -> bytes:
        text = b"%d" % number
        if 0 <= number < _REMEMBERED:
            self[number] = text
        return text


class Milliseconds(dict[int, bytes]):
    """Milliseconds as seconds with three decimals; less than a minute is kept."""

    def __missing__(self, number: int) -> bytes:
        text = b"%d.%03d" % divmod(max(0, number), 1000)
        if 0 <= number < _REMEMBERED:
            self[number] = text
        return text


class Names(dict[str, bytes]):
    """Addresses as bytes; forgotten when there are very many."""

    def __missing__(self, name: str) -> bytes:
        if len(self) >= _REMEMBERED:
            self.clear()
        text = self[name] = name.encode("latin-1", "replace")
        return text


DIGITS: Final = Digits()
MILLISECONDS: Final = Milliseconds()
NAMES: Final = Names()


def looked_up(texts: dict[_Key, bytes], keys: Sequence[_Key]) -> Iterable[bytes]:
    """The text of each of ``keys``; where all are the same, it is repeated."""
    if alike(keys):
        return repeat(texts[keys[0]], len(keys))
    return map(texts.__getitem__, keys)


_thousandfold: Final = (1000.0).__mul__


def seconds_between(later: Iterable[float], earlier: Iterable[float]) -> Iterable[bytes]:
    """Differences of times in seconds with three decimals."""
    return map(MILLISECONDS.__getitem__, map(int, map(_thousandfold, map(sub, later, earlier))))
