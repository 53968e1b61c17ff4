"""Comparison of runs: paired statistics over examples, seeds and languages. Reads files, never a model (docs/statistics.md)."""
