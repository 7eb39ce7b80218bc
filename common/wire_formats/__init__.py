"""What other programs read: the Firestore document, the Pub/Sub message, the task event.

Versioned, and pinned by golden files.

Readers accept unknown fields and any version 1.x; whoever meets a 2.x must not guess.
"""
