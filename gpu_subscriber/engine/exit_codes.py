"""How the engine process ends, as the parent reads it. Negative codes are signals: the system's, not ours."""

STOPPED = 0
"""It was told to (Shutdown)."""
PARENT_GONE = 3
"""The pipe was closed without a Shutdown: nobody is left to draw for."""
DEVICE_LOST = 70
"""The device's context is poisoned (illegal access, device-side assert, ECC error): only a new process helps."""
ENGINE_BROKEN = 72
"""An error in the engine itself, outside any one Run."""
