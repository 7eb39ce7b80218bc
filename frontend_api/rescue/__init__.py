"""Rescue: recovers tasks that no worker or message will continue."""
