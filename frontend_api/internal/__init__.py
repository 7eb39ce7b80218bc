"""Endpoints for the scheduler and for Pub/Sub pushes, not for users."""
