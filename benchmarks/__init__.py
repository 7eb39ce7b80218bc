"""The benchmarks of docs/benchmarks.md. Every result is a ratio or a median of one run; these are not tests."""
