"""Finished images and previews of a task."""
