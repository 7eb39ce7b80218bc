"""Google Cloud adapters of the worker: Pub/Sub and Cloud Storage."""
