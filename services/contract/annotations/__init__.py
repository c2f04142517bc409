"""The registry of annotations: one typed entry per name, and how an Ingress' annotations are read with it.

Pure data and pure functions, shared by every role. Must not know what is compiled from an annotation.
"""
