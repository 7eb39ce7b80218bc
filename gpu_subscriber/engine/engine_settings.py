"""EngineSettings: everything the engine process is told when it starts. Free of torch, so the parent may build it."""

from dataclasses import dataclass
from typing import Literal

from common.domain.model_catalog import ModelSpec

DeviceChoice = Literal["auto", "cpu", "cuda"]
DtypeChoice = Literal["auto", "float32", "float16", "bfloat16"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """How the engine runs. Picklable: it crosses a `multiprocessing` spawn."""

    models: tuple[ModelSpec, ...]
    """The catalog; the first is loaded and warm before EngineReady."""
    device: DeviceChoice = "auto"
    """`auto`: CUDA where there is one."""
    dtype: DtypeChoice = "auto"
    """`auto`: bfloat16 on CUDA, float32 on a CPU."""
    max_batch: int = 8
    """No more Runs than this share a step, however well larger batches measure."""
    loaded_models: int = 1
    """How many models stay loaded at once; past that the least recently used one is dropped."""
    model_switch_patience_seconds: float = 5.0
    """How long Runs of a model that is not loaded wait while others of their lane still have work."""
    batch_lane_patience_seconds: float = 300.0
    """After this long a Run of the batch lane counts as interactive, so that it is never starved for ever."""
    preview_interval_seconds: float = 1.0
    checkpoint_interval_seconds: float = 2.0
    """How often a Run's state is sent to the parent unasked; 0 turns it off."""
    measure_at_start: bool = True
    """Time batch sizes and memory formats on the first model; without it `max_batch` is taken at its word."""
    compile_denoiser: bool = False
    """`torch.compile` the repeated blocks: minutes at the start, some percent faster afterwards (CUDA only)."""
    cpu_threads: int | None = None
    """Threads of one CPU forward; None: as many as the process may run on."""
    niceness: int = 5
    """Added to the process's niceness on a CPU, so that leases and heartbeats never starve behind a forward."""
    log_level: str = "INFO"
    log_format: str = "json"
    """`json` or `console`, as `common.observability.logging` has it."""
