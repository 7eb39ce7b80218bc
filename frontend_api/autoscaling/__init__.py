"""The number of workers that a pool needs."""
