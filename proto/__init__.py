"""The wire contract: what travels between watcher, compiler, edges and observers, and nothing that acts.

Owns the message types, the subjects, the encodings, the digest, the signatures and the sealing of secrets.
Must not know: NATS, Kubernetes clients, sockets, files, clocks. Imports nothing of ``services``.
"""
