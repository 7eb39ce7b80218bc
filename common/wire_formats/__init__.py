"""Formats that other programs read: Firestore documents, Pub/Sub messages, task events.

They are versioned and pinned by golden files. Readers accept unknown fields and any version 1.x,
and reject 2.x.
"""
