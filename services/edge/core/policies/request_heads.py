"""What endpoints are told besides what all are: the Host, the prefix that a rewrite took away, the original target.

Pure. A phase each; the last one to say something of a header has the last word.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from proto.policies import RequestHop, Rewrite, UpstreamHost
from services.contract.rewrite import Captured
from services.edge.core.asked import Asked
from services.edge.core.asked_values import filled, value_of
from services.edge.core.edits import request_edit
from services.edge.core.outcomes import Check, Outcome, Pass
from services.edge.core.policies.response_headers import values_of

if TYPE_CHECKING:
    from services.edge.core.phases import Context


def upstream_host(context: Context) -> Check | None:
    """``upstream-vhost``: the Host that the endpoint gets."""
    policy = next((policy for policy in context.route.policies if isinstance(policy, UpstreamHost)), None)
    if policy is None:
        return None
    if "$" not in policy.template:
        passed = Pass(request=request_edit(host=policy.template.encode()))
        return lambda _asked: passed
    fill = filled(policy.template)
    return lambda asked: Pass(request=request_edit(host=fill(asked)))


def forwarded_prefix(context: Context) -> Check | None:
    """``x-forwarded-prefix``: only where the path is rewritten (contract section 1.2)."""
    policy = next((policy for policy in context.route.policies if isinstance(policy, Rewrite)), None)
    if policy is None or not policy.prefix:
        return None
    if "$" not in policy.prefix:
        passed = Pass(request=request_edit({_PREFIX: policy.prefix.encode()}))
        return lambda _asked: passed
    captured = Captured(policy.pattern, policy.prefix)
    readers = {name: value_of(name) for name in captured.variables}

    def check(asked: Asked) -> Outcome:
        prefix = captured.fill(asked.path, lambda name: readers[name](asked))
        return Pass(request=request_edit({_PREFIX: prefix}))

    return check


def original_uri(context: Context) -> Check | None:
    """``proxy-add-original-uri-header``: the target as the client sent it."""
    if not context.settings.proxy_add_original_uri_header:
        return None
    return lambda asked: Pass(request=request_edit({b"X-Original-URI": asked.target}))


_PREFIX = b"X-Forwarded-Prefix"


def set_headers(context: Context) -> Check | None:
    """``proxy-set-headers``: for all endpoints, with variables filled in; an empty value takes a header out."""
    headers = context.settings.proxy_set_headers
    if not headers:
        return None
    host = next((filled(value) for name, value in headers if name.lower() == "host"), None)
    values = values_of(headers)
    return lambda asked: Pass(request=request_edit(values(asked), host=b"" if host is None else host(asked)))


def hop(context: Context) -> Check | None:
    """``proxy-http-version`` and ``connection-proxy-header``."""
    policy = next((policy for policy in context.route.policies if isinstance(policy, RequestHop)), None)
    version = context.settings.proxy_http_version
    version = version if policy is None or policy.version is None else policy.version
    connection = b"" if policy is None else policy.connection.encode()
    if version != "1.0" and not connection:
        return None
    edit = request_edit({b"Connection": connection} if connection else {})
    passed = Pass(request=replace(edit, old=version == "1.0"))
    return lambda _asked: passed
