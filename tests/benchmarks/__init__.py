"""Measurements; run one with ``python -m tests.benchmarks.<name>``. Ratios within one run count, not figures."""
