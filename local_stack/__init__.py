"""darkroom on one machine: Google's emulators, a local bucket, the API, workers and a
scheduler.

Production does not run or import this package.
"""
