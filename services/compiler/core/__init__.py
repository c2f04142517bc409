"""The compile: a pure function from objects to resources, kept up incrementally.

``compiler.Compiler`` is the way in. Nothing here imports asyncio, NATS, a clock, randomness or files.
"""
