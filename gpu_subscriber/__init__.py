"""The worker: consumes task messages and produces images."""
