"""The compiler: objects on the bus become versions of the routing table, signed, in one totally ordered log.

A change's way, top to bottom: ``feed`` (is the message genuine, what does it change) → ``hold`` (is it a mass removal)
→ ``core`` (pure compile of what the change touches) → ``log`` (what differs from the published table, signed and
appended behind a fence) → ``announce`` and ``findings`` (route events, diagnostics). ``loop`` owns the state.

Must not know: Kubernetes clients, sockets, how an edge serves. Holds no credentials but its signing key and the key
that authenticates the watcher's objects; it never sees a private key in the clear.
"""
