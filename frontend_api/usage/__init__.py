"""Usage: the costs of a caller's tasks per day."""
