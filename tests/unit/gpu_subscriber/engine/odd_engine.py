"""The shipped engine process with a model that misbehaves at the third step of certain prompts.

spin      computes without end, holding the interpreter
sleep     waits without end, as for a kernel that never returns
segfault  crashes like a broken driver
lose      reports a poisoned device
break     raises an error outside any one Run
crowd     does not fit into a batch with others
large     does not fit at all
huge      fits, but its image only in tiles
NaN       returns numbers that are not finite
"""

import os
import signal
import threading
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any

from gpu_subscriber.engine.engine_settings import EngineSettings
from tests.engine_gate import run_gated_engine

ODD_ENGINE = f"{__name__}:run_odd_engine"
ODD_STEP = 2


def run_odd_engine(pipe: Connection, settings: EngineSettings) -> None:
    """The child's main function."""
    import torch

    from gpu_subscriber.engine import main_loop
    from gpu_subscriber.engine.errors import RunStoppedError
    from gpu_subscriber.engine.families.decoded import Decoded
    from gpu_subscriber.engine.families.stable_diffusion import StableDiffusion
    from gpu_subscriber.engine.models.loading import load_family
    from gpu_subscriber.engine.runs.run import Denoising

    class OddFamily(StableDiffusion):
        """Reads the prompt of each state."""

        def __init__(self, pipeline: Any) -> None:
            super().__init__(pipeline)
            self._prompt_of: dict[Denoising, str] = {}

        def prepare(self, parameters: Any, **given: Any) -> Denoising:
            state = super().prepare(parameters, **given)
            self._prompt_of[state] = parameters.prompt
            return state

        def predict(self, states: Sequence[Denoising]) -> list[torch.Tensor]:
            for state in states:
                if state.step_index == ODD_STEP:
                    self._do_what_is_asked(self._prompt_of.get(state, ""), len(states))
            predictions = super().predict(states)
            return [
                prediction * float("nan") if self._prompt_of.get(state) == "NaN" else prediction
                for state, prediction in zip(states, predictions, strict=True)
            ]

        def decode(self, state: Denoising, *, tiled: bool = False) -> Decoded:
            if self._prompt_of.get(state) == "huge" and not tiled:
                raise torch.OutOfMemoryError("out of memory")
            return super().decode(state, tiled=tiled)

        def _do_what_is_asked(self, prompt: str, batch: int) -> None:
            match prompt:
                case "spin":
                    while True:
                        pass
                case "sleep":
                    threading.Event().wait()
                case "segfault":
                    os.kill(os.getpid(), signal.SIGSEGV)
                case "lose":
                    raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")
                case "break":
                    raise RunStoppedError("raised at an unexpected place")
                case "large":
                    raise torch.OutOfMemoryError("out of memory")
                case "crowd" if batch > 1:
                    raise torch.OutOfMemoryError("out of memory")

    def load_odd_family(*arguments: Any, **options: Any) -> OddFamily:
        family = load_family(*arguments, **options)
        assert isinstance(family, StableDiffusion)
        return OddFamily(family.pipeline)

    vars(main_loop)["load_family"] = load_odd_family
    run_gated_engine(pipe, settings)
