"""Real parts for tests: servers, processes, waiting. Imported by tests and benchmarks, never by what is shipped."""
