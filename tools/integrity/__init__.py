"""Checks that a deployment kept its guarantees: no task lost, doubled, corrupt or miscounted."""
