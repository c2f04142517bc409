"""The pure core of the edge: reading heads, framing, matching, deciding, writing heads. Bytes in, values out.

Must not know: sockets, TLS, clocks, randomness, the bus.
"""
