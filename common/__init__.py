"""What the API and the worker both need: the rules of a task, the contracts on the wire, and the task store.

A module may live here only if both processes import it. This package imports neither of them.
"""
