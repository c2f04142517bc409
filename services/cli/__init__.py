"""The ``limen`` command: one module per command.

Owns the names of options, their environment variables, and what people see. Must not know how a role works: roles are
imported inside their command, so that ``limen edge`` needs no Kubernetes client and starts quickly.
"""
