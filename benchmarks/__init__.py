"""The benchmarks of docs/internals/benchmarks.md.

Every result is a ratio or a median of one run; these are not tests.
"""
