"""Clients that speak HTTP/2: the connection, and a stream for each request. The protocol is that of ``core.http2``."""
