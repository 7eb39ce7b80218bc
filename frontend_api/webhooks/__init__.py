"""Webhooks: the endings of tasks told to URLs that their owners gave, as Standard Webhooks describes.

A task event is pushed to the API, which makes one try and answers Pub/Sub how it went: retries, back-off and
durability are Pub/Sub's. What is told is made elsewhere (`webhook_answers`), where it may go is `callback_rules`.
"""
