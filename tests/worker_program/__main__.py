"""The production worker, with settings that a test must be able to choose:

WORKER_ENGINE                which engine it starts, `module:function`
WORKER_CLOCK_SKEW_SECONDS    the error of its clock

python -m tests.worker_program

A package, because multiprocessing's spawn imports a plain main module again in the engine process.
"""

import os
from datetime import datetime, timedelta
from typing import Any

from common.adapters.system_clock import SystemClock
from gpu_subscriber import __main__ as program


class SkewedClock(SystemClock):
    def now(self) -> datetime:
        return super().now() + timedelta(seconds=float(os.environ["WORKER_CLOCK_SKEW_SECONDS"]))


def main() -> int:
    chosen: dict[str, Any] = vars(program)
    chosen["ENGINE_ENTRY_POINT"] = os.environ["WORKER_ENGINE"]
    if "WORKER_CLOCK_SKEW_SECONDS" in os.environ:
        chosen["SystemClock"] = SkewedClock
    return program.main()


if __name__ == "__main__":
    os._exit(main())  # as the worker does: no thread may prevent the exit
