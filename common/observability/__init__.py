"""Logs, traces and metrics of both processes."""
