"""Child processes: start, readiness, logs, restarts and shutdown."""
