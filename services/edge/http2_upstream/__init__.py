"""Endpoints that speak HTTP/2: sessions with them, and a stream for each request. The protocol is in ``core.http2``."""
