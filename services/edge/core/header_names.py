"""Names of requests' headers that are out of the ordinary: which of them go on (nginx: ``ignore_invalid_headers``,
``underscores_in_headers``).

Owns that none goes on which an application could take for one that the edge reads or writes: many fold ``_`` and ``-``
into one. Pure; blocks whose names are all ordinary never come here. What is no name at all was refused before.
"""

from __future__ import annotations

import re
from typing import Final

from services.edge.core import grammar

_ordinary = re.compile(grammar.PLAIN_TOKEN + rb"++").fullmatch
_with_underscores = re.compile(rb"[0-9A-Za-z_-]++").fullmatch
_separators: Final = re.compile(rb"[^0-9a-z]")


def names_that_go_on(block: bytes, reserved: re.Pattern[bytes], *, underscores: bool, odd: bool) -> bytes:
    """``block`` without the lines whose names do not go on. ``underscores``: those with ``_`` do; ``odd``: those with
    any other character of a token, too. ``reserved``: matches names (in lower case) that only the edge may say."""
    lines = []
    for line in grammar.field.finditer(block):
        name = line[1]
        if _ordinary(name) is None:
            if not (odd or (underscores and _with_underscores(name) is not None)):
                continue
            if reserved.fullmatch(_separators.sub(b"-", name.lower())) is not None:
                continue
        lines.append(line[0])
    return b"\r\n%b\r\n" % b"".join(lines)
