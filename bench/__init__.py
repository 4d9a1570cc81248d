"""Measures what the hub claims. `python -m bench` writes docs/benchmarks.md and docs/benchmarks.json; timings never decide a test."""
