"""The processes of one edge: a supervisor, its workers, and the process that answers the admin endpoint for all.

Must not know what a route is.
"""
