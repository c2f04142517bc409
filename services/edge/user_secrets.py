"""Secrets that hold users: opened once, and again only when they change.

Owns what was opened, bounded. Must not know what is done with a user's line.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from msgspec import Struct

from proto.resources import Credentials
from proto.sealing import Sealer, secret_place
from proto.signing import AuthenticationError

_log = logging.getLogger(__name__)

FILE: Final = "auth"
"""The entry of a Secret that is a file of users."""
OPENED_AT_MOST: Final = 256
"""Secrets at once; the least recently used goes first."""

Users = dict[bytes, bytes]


class _Opened(Struct, frozen=True):
    """``users``: None: the Secret cannot be read."""

    credentials: Credentials
    users: Users | None


class UserSecrets:
    """See the module. ``read``: what a file says; an entry for each user is read as a file of ``name:entry`` lines."""

    def __init__(self, sealer: Sealer, read: Callable[[bytes], Users]) -> None:
        self._sealer = sealer
        self._read_file = read
        self._opened: OrderedDict[tuple[str, bool], _Opened] = OrderedDict()

    def users(self, name: str, credentials: Credentials, *, by_user: bool) -> Users | None:
        """What the Secret ``name`` says; None: it cannot be read. ``by_user``: an entry of it for each."""
        key = (name, by_user)
        known = self._opened.get(key)
        held = None if known is None else known.credentials
        if known is None or (held is not credentials and held != credentials):
            known = self._opened[key] = _Opened(credentials, self._read(name, credentials, by_user=by_user))
            if len(self._opened) > OPENED_AT_MOST:
                self._opened.popitem(last=False)
        self._opened.move_to_end(key)
        return known.users

    def _read(self, name: str, credentials: Credentials, *, by_user: bool) -> Users | None:
        namespace, _, secret = name.partition("/")
        sealed = credentials.sealed_entries
        wanted = sealed if by_user else {FILE: sealed[FILE]} if FILE in sealed else None
        try:
            if wanted is None:
                raise ValueError(f"there is no key {FILE}")
            texts = {key: self._sealer.open(secret_place(namespace, secret, key), text) for key, text in wanted.items()}
        except (AuthenticationError, ValueError) as error:
            _log.error("passwords cannot be read, their routes answer 503: %s: %s", name, error)
            return None
        if not by_user:
            return self._read_file(texts[FILE])
        return self._read_file(
            b"".join(b"%b:%b\n" % (key.encode(), text.split(b"\n")[0]) for key, text in texts.items())
        )
