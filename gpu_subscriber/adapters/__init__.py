"""The Google-coloured side of the worker: Pub/Sub and Cloud Storage, behind the ports."""
