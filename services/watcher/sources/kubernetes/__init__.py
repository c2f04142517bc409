"""The Kubernetes API as a source: client -> reflector (one per kind and scope) -> source."""
