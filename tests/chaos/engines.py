"""The engine processes of the chaos suite. Each generates images, and crashes on certain prompts.

    demo_model    the production engine, with the demo model
    stand_in      paints one color, takes hundredths of a second per step, and starts at once
    narrow        the production engine, on a device with memory for only `CAPACITY` Runs

A Run whose prompt contains DEADLY kills its process with SIGKILL, as the OOM killer does.
"""

import os
import signal
from multiprocessing.connection import Connection
from typing import Any

from gpu_subscriber.engine.duplex_pipe import unpacked
from gpu_subscriber.engine.engine_process import run_engine
from gpu_subscriber.engine.engine_settings import EngineSettings
from gpu_subscriber.engine.messages import FromEngine, Start, StepDone, ToEngine
from tests.chaos.stand_in_engine import serve_stand_in
from tests.engine_gate import GatedConnection, run_gated_engine

DEADLY = "deadly"
CAPACITY = 2

STAND_IN = f"{__name__}:stand_in"
DEMO_MODEL = f"{__name__}:demo_model"
NARROW = f"{__name__}:narrow"


class DeadlyPipe:
    """A pipe to the parent that kills the process at the first step of a deadly Run."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._deadly: set[str] = set()

    def poll(self, timeout: float | None = 0.0) -> bool:
        return self._pipe.poll(timeout)

    def recv(self) -> tuple[ToEngine, ...]:
        messages = unpacked(self._pipe.recv())
        for message in messages:
            if isinstance(message, Start) and DEADLY in message.parameters.prompt:
                self._deadly.add(message.run_id)
        return messages

    def send(self, message: FromEngine) -> None:
        if isinstance(message, StepDone) and message.run_id in self._deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        self._pipe.send(message)


def demo_model(pipe: Any, settings: EngineSettings) -> None:
    run_gated_engine(DeadlyPipe(pipe), settings)


def stand_in(pipe: Any, settings: EngineSettings) -> None:
    serve_stand_in(GatedConnection(DeadlyPipe(pipe)), settings)


def narrow(pipe: Any, settings: EngineSettings) -> None:
    import torch

    from gpu_subscriber.engine import main_loop

    names: dict[str, Any] = vars(main_loop)
    load_family = names["load_family"]

    def narrowed(*arguments: Any, **options: Any) -> Any:
        family: Any = load_family(*arguments, **options)
        predict = family.predict

        def predict_what_fits(states: list[Any]) -> Any:
            if len(states) > CAPACITY:
                raise torch.OutOfMemoryError(f"{len(states)} Runs where {CAPACITY} fit")
            return predict(states)

        family.predict = predict_what_fits
        return family

    names["load_family"] = narrowed
    run_engine(pipe, settings)
