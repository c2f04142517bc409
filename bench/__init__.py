"""Benchmarks, one command each: ``python -m bench.<name>`` or ``make bench-<name>``.

They measure the goals in docs/performance.md. ``--json`` prints the figures for machines, ``--quick`` measures shorter
(to see that a benchmark works, not to quote it). Peers run in the same run, in interleaved rounds.
"""
