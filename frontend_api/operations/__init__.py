"""The state of the whole system, and its alerts, for operators."""
