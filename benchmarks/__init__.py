"""Benchmarks: one module a question, each answered as a ratio to a floor of the same run."""
