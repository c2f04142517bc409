"""Spans of requests: put down when a request is over, sent to a collector beside everything else (OTLP over gRPC)."""
