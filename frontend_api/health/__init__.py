"""Liveness, and readiness of the dependencies of a submission."""
