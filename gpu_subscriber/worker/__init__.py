"""The worker: start, delivery stream, health, reports and drain."""
