"""Estimates: GPU time, queue position and finish time of tasks."""
