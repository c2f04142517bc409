"""Policies: typed, parsed settings of a route that an edge applies to a request.

Owns one frozen type per policy, a module for each theme; on the wire each carries its tag. A reader that meets a tag it
does not know answers that route with 503 (``proto.codec.decode_resource``): never open.
"""

from __future__ import annotations

from proto.policies.access import BasicAuth, DigestAuth, ExternalAuth, RateLimit, SatisfyAny, SourceRanges
from proto.policies.balancing import Affinity, Balancing, Canary
from proto.policies.copies import Mirror
from proto.policies.fastcgi import FastCGI
from proto.policies.observing import Tracing
from proto.policies.proxying import (
    AccessLog,
    BackendProtocol,
    EndpointTLS,
    NextUpstream,
    ProxyTimeouts,
    RequestBody,
    ResponseBuffering,
)
from proto.policies.rates import ResponseRate
from proto.policies.requests import RequestHop
from proto.policies.responses import CORS, CustomHeaders, Decorations, EndpointResponse
from proto.policies.routing import CustomErrors, Moved, RedirectForm, Rewrite, SSLRedirect, UpstreamHost

Policy = (
    SSLRedirect
    | Rewrite
    | ProxyTimeouts
    | RequestBody
    | ResponseBuffering
    | NextUpstream
    | BackendProtocol
    | EndpointTLS
    | AccessLog
    | Moved
    | RedirectForm
    | UpstreamHost
    | CustomErrors
    | SourceRanges
    | RateLimit
    | ResponseRate
    | BasicAuth
    | DigestAuth
    | ExternalAuth
    | FastCGI
    | SatisfyAny
    | CORS
    | CustomHeaders
    | Decorations
    | EndpointResponse
    | RequestHop
    | Mirror
    | Tracing
    | Canary
    | Affinity
)

__all__ = [
    "CORS",
    "AccessLog",
    "Affinity",
    "BackendProtocol",
    "Balancing",
    "BasicAuth",
    "Canary",
    "CustomErrors",
    "CustomHeaders",
    "Decorations",
    "DigestAuth",
    "EndpointResponse",
    "EndpointTLS",
    "ExternalAuth",
    "FastCGI",
    "Mirror",
    "Moved",
    "NextUpstream",
    "Policy",
    "ProxyTimeouts",
    "RateLimit",
    "RedirectForm",
    "RequestBody",
    "RequestHop",
    "ResponseBuffering",
    "ResponseRate",
    "Rewrite",
    "SSLRedirect",
    "SatisfyAny",
    "SourceRanges",
    "Tracing",
    "UpstreamHost",
]
