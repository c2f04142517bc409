"""Policies about copies of requests for others than their endpoints."""

from __future__ import annotations

from msgspec import Struct


class Mirror(Struct, frozen=True, array_like=True, tag="mirror", gc=False):
    """A copy of each request that is let pass goes elsewhere too; what is answered there counts for nothing.

    ``target``: where (``mirror-target``), an absolute address in which nginx variables may stand; ``host``: the Host
    header that it gets (``mirror-host``), likewise; ``body``: it has the body (``mirror-request-body``).
    """

    target: str
    host: str
    body: bool = True
