"""The documentation, and the part of it that is generated from the code (``python -m docs.generate``)."""
