"""What the API and the worker share: the domain, the wire formats and the task store.

A module belongs here only if both processes import it. This package imports neither of them.
"""
