"""Adapters of the API to Google Cloud: one file per port and technology."""
