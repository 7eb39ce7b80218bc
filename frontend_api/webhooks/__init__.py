"""Webhooks: the API posts task events to callback URLs, as Standard Webhooks specifies.

Pub/Sub pushes each task event to the API. The API makes one try and returns the result to Pub/Sub,
which provides retries, backoff and durability.
"""
