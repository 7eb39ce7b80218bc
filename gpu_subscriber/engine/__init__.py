"""The engine process: it owns the GPU, loads models and runs the step engine. Only this package imports torch.

The parent knows nothing of it but `messages.py` and the function that starts it.
"""
