"""Loaded models: cache, checks, samplers and provenance."""
