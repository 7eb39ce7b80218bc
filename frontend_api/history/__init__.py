"""The state of the system in the last hours, minute by minute, for operators."""
