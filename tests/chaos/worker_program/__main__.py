"""The worker as it ships, but for what a case must be able to choose:

CHAOS_ENGINE                which engine it starts, `module:function`
CHAOS_CLOCK_SKEW_SECONDS    how far its clock is off

python -m tests.chaos.worker_program

A package, because multiprocessing's spawn imports a plain main module again in the engine process.
"""

import os
from datetime import datetime, timedelta
from typing import Any

from common.adapters.system_clock import SystemClock
from gpu_subscriber import __main__ as program


class SkewedClock(SystemClock):
    """A clock that is wrong by a constant."""

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=float(os.environ["CHAOS_CLOCK_SKEW_SECONDS"]))


def main() -> int:
    """Run one worker to its end; its exit code."""
    chosen: dict[str, Any] = vars(program)
    chosen["ENGINE_ENTRY_POINT"] = os.environ["CHAOS_ENGINE"]
    if "CHAOS_CLOCK_SKEW_SECONDS" in os.environ:
        chosen["SystemClock"] = SkewedClock
    return program.main()


if __name__ == "__main__":
    os._exit(main())  # as the worker itself: no thread may keep a worker from leaving
