"""From the bus to a generation: signed deltas and bases in, one swap out, the last good one on disk.

Owns what an edge believes and why. Must not know sockets of clients, requests, or how a generation answers them.
"""
