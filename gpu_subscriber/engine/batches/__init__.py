"""Batches: which Runs share a step, how many may, and the step itself."""
