"""Loaded models: cache, checks, warm-up, samplers and provenance."""
