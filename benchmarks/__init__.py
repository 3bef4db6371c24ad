"""Benchmarks: each module is a script, run as ``python -m benchmarks.NAME``; README.md says what each shows."""
