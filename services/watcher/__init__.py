"""watcher: what a source (the Kubernetes API, or a folder of manifests) says, trimmed, sealed, onto the bus.

    sources/  ->  inventory  ->  outbox  ->  publisher  ->  bus
    (read)        (select,       (what       (send)
                   seal)          differs)
    status/ writes back to Kubernetes what the compiler found. One watcher is active at a time (``lease``).

The watcher alone knows Kubernetes and holds its credentials. It must not know what is compiled from an object.
"""
