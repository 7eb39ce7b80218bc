"""Logs, metrics, traces and models, formatted for a terminal."""
