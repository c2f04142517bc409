"""Connections that are handed on unread: ports of TCP and UDP services, and TLS that passes unopened."""
