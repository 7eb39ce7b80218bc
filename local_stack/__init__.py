"""darkroom on one machine: Google's emulators, a local bucket, the API, workers and the rescue tick.

Nothing in here runs in production and nothing in production imports it.
"""
