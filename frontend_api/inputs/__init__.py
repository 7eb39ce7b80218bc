"""Inputs: pictures that callers upload for their tasks."""
