"""The engine process: it owns the GPU, loads models and runs the step engine.

Only this package imports torch. The parent uses only `messages.py` and the function that starts the
process.
"""
