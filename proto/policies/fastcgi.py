"""Policies about endpoints that speak FastCGI."""

from __future__ import annotations

from msgspec import Struct


class FastCGI(Struct, frozen=True, array_like=True, tag="fastcgi", gc=False):
    """Endpoints speak FastCGI (``backend-protocol: FCGI``).

    ``index``: appended to a path that ends in ``/`` (``fastcgi-index``); ``parameters``: of the ConfigMap
    ``fastcgi-params-configmap``, in which nginx variables may stand.
    """

    index: str = ""
    parameters: tuple[tuple[str, str], ...] = ()
