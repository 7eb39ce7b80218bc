"""EngineSettings: the configuration of the engine process.

Does not import torch, so the parent can build it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from common.domain.models.spec import ModelSpec
from gpu_subscriber.engine.batches.round_robin import QUANTUM_SECONDS

DeviceChoice = Literal["auto", "cpu", "cuda"]
DtypeChoice = Literal["auto", "float32", "float16", "bfloat16"]
DtypeSetting = DtypeChoice | Literal["measured"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """How the engine runs. Picklable: it is passed to a `multiprocessing` spawn."""

    models: tuple[ModelSpec, ...]
    """The catalog. The first model that loads is warm before EngineReady."""
    device: DeviceChoice = "auto"
    """`auto`: CUDA where there is one."""
    dtype: DtypeSetting = "auto"
    """`auto`: bfloat16 on a GPU that computes with it, float16 on other GPUs, float32 on a CPU.

    `measured`: the same, but on a CPU bfloat16 for models that are faster and nearly unchanged in it.
    """
    max_batch: int = 8
    """Most Runs that share a step, even if larger batches measure better."""
    loaded_models: int | None = None
    """How many models stay loaded at most; None: as many as fit the device's memory."""
    host_cache_bytes: int = 0
    """How much of the host's memory holds models that a GPU evicted."""
    model_switch_patience_seconds: float = 5.0
    """How long Runs of an unloaded model wait while loaded models in their lane have work.

    If the last load took longer, they wait for that long.
    """
    batch_lane_patience_seconds: float = 300.0
    """After this long a Run of the batch lane counts as interactive, which prevents starvation."""
    preview_interval_seconds: float = 1.0
    checkpoint_interval_seconds: float = 2.0
    """How often a Run's state is sent to the parent; 0 turns it off."""
    quantum_seconds: float = QUANTUM_SECONDS
    """How long the Runs of a batch key take steps before those of another key do."""
    measure_at_start: bool = True
    """Time batch sizes and memory formats of each loaded model; otherwise `max_batch` applies."""
    compile_denoiser: bool = False
    """`torch.compile` the repeated blocks: minutes at the start, some percent faster afterwards (CUDA only)."""
    cuda_graphs: bool = False
    """Replay the steps of the default size as CUDA graphs, for batches that are faster so (CUDA only)."""
    cpu_threads: int | None = None
    """Threads of one CPU forward; None: as many as the process may run on."""
    image_classifier: Path | None = None
    """A folder with a safety checker that checks each image; then no previews are made."""
    niceness: int = 5
    """Added to the process's niceness on a CPU, so that forwards never starve leases and heartbeats."""
    log_level: str = "INFO"
    log_format: str = "json"
    """`json` or `console`, as in `common.observability.logging`."""
