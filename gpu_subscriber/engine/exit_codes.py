"""The exit codes of the engine process. Negative codes, set by the system, are signals."""

STOPPED = 0
"""The engine received Shutdown."""
PARENT_EXITED = 3
"""The pipe was closed without a Shutdown: the parent has exited."""
DEVICE_LOST = 70
"""The device's context is poisoned: only a new process recovers.

Causes are an illegal access, a device-side assert or an ECC error.
"""
GPU_UNUSABLE = 71
"""The node has no GPU that torch can use, for example because its driver is too old."""
ENGINE_BROKEN = 72
"""An error in the engine itself, outside any one Run."""
