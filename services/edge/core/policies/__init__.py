"""Policies of routes as phases: what each says of a request, a module for each theme. Pure."""
