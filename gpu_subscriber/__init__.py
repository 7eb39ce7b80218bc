"""The worker: task in, images out."""
