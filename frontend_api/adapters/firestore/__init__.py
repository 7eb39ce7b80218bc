"""Adapters of the API to Firestore: one file per port."""
