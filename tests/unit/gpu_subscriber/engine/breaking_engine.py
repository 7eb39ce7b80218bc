"""The shipped engine process with models that break between loading and the end of the warm-up.

A name says where it breaks: `load`, `out-of-memory`, `tune`, `warm-up`, `measure`. `mended` breaks
once, at load; `lost` loses the device. Every other name is a model that works.
"""

from multiprocessing.connection import Connection
from typing import Any

from gpu_subscriber.engine.engine_process import run_engine
from gpu_subscriber.engine.engine_settings import EngineSettings

BREAKING_ENGINE = f"{__name__}:run_breaking_engine"
BREAKING = ("load", "out-of-memory", "tune", "warm-up", "measure")


def run_breaking_engine(pipe: Connection, settings: EngineSettings) -> None:
    """The child's main function."""
    import torch

    from gpu_subscriber.engine import main_loop
    from gpu_subscriber.engine.models import model_backoff
    from gpu_subscriber.engine.models.loading import load_family
    from gpu_subscriber.engine.tuning import warm_up
    from gpu_subscriber.engine.tuning.batch_sizes import measure_batches

    mended: list[str] = []

    def load(spec: Any, device: Any, **options: Any) -> Any:
        match spec.name:
            case "load":
                raise ArithmeticError("an error of a kind that no one expects")
            case "out-of-memory":
                raise torch.OutOfMemoryError("CUDA out of memory")
            case "lost":
                raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")
            case "mended" if not mended:
                mended.append(spec.name)
                raise OSError("the file system does not answer")
        family: Any = load_family(spec, device, **options)
        if spec.name == "tune":
            family.pipeline.no_such_method()
        if spec.name == "warm-up":
            family.predict = None
        return family

    def measure(family: Any, parameters: Any, *arguments: Any) -> None:
        if parameters.model == "measure":
            raise torch.OutOfMemoryError("CUDA out of memory")
        measure_batches(family, parameters, *arguments)

    vars(main_loop)["load_family"] = load
    vars(warm_up)["measure_batches"] = measure
    vars(model_backoff)["FIRST_PAUSE_SECONDS"] = 0.2
    run_engine(pipe, settings)
