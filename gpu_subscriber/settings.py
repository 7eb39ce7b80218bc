"""Settings of a worker. Read from the environment, prefix `DARKROOM_`."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator
from pydantic_settings import NoDecode

from common.settings import SharedSettings
from common.shared_values import SHARED


def _checked_folder(folder: Path) -> Path:
    missing = [name for name in ("config.json", "model.safetensors") if not (folder / name).is_file()]
    if missing or not folder.is_absolute():
        raise ValueError(
            f"must be the absolute path of a folder with config.json and model.safetensors (got {folder})"
        )
    return folder


class WorkerSettings(SharedSettings):
    """Operator settings for claims, generation and shutdown."""

    subscription: str = f"{SHARED.topics.tasks}-demo"
    """The subscription to pull from; each pool of workers has its own."""
    lease_seconds: int = Field(default=SHARED.pubsub.lease_seconds, ge=10, le=600)
    """Duration of each lease extension: the longest stall of a worker without redelivery, and the
    delay before Pub/Sub redelivers a dead worker's tasks.
    """
    claim_ttl_seconds: float = Field(default=60.0, ge=5.0)
    """Validity of a claim after its last renewal: the delay before another worker may take over."""
    heartbeat_interval_seconds: float = Field(default=3.0, gt=0.0)
    """Longest interval between two renewals of a claim."""
    holder_silence_seconds: float = Field(default=7.0, gt=0.0)
    """A redelivered task is taken over if its live claim is not renewed for this long."""
    cancellation_look_seconds: float = Field(default=2.0, ge=0.1)
    """Longest delay of a cancellation; costs one read per interval without a write."""
    progress_interval_seconds: float = Field(default=1.0, ge=0.1)
    """Shortest interval of progress writes of a task; Firestore sustains one per second."""
    progress_event_seconds: float = Field(default=5.0, ge=0.5)
    """Shortest interval between two progress events of a task, for owners who requested them."""
    report_interval_seconds: float = Field(default=10.0, gt=0.0)
    """Interval of the worker's reports (liveness, models, measured durations); each costs one
    write. A worker without a report for three intervals counts as dead.
    """
    attempt_timeout_seconds: float = Field(default=900.0, gt=0.0)
    """Limit for the generation of an attempt, which then fails. Waiting in the worker for other
    tasks or for a model to load does not count; a task that waits this long, or shares the device
    for this long, is handed back.
    """
    drain_deadline_seconds: float = Field(default=8.0, ge=0.0)
    """After SIGTERM: tasks that will finish within this time are finished, the others handed back.
    The whole shutdown takes up to 7 s more; a Spot node gives a pod 15 s.
    """
    patience_seconds: float = Field(default=45.0, ge=0.0)
    """How long a finished attempt retries its last writes while services are unavailable."""
    health_port: int = Field(default=8081, ge=0, le=65_535)
    """Port of /healthz and /readyz; 0 selects any free port."""
    health_host: str = "0.0.0.0"  # noqa: S104 (the kubelet connects from outside the pod)
    """Address at which the health server listens."""
    pod_name: str | None = None
    """The worker's Kubernetes pod, on which it sets its removal cost."""
    pod_namespace: str = "darkroom"
    """The pod's namespace."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """The device; `auto` uses a GPU if there is one."""
    dtype: Literal["auto", "float32", "float16", "bfloat16", "measured"] = "auto"
    """The number format; `auto` depends on the device. `measured` may choose bfloat16 on a CPU."""
    slots: int = Field(default=8, ge=1, le=64)
    """Largest number of images that share a step; measured at the start. The worker accepts
    slightly more deliveries. Models of the family `whole_pipeline` generate one image at a time
    regardless.
    """
    models: Annotated[tuple[str, ...], NoDecode] = ()
    """The catalog's models that this worker serves, separated by commas; the first is loaded at the
    start. Empty: all. Not JSON, because the pool's autoscaler uses the same value in a URL.
    """
    loaded_models: int | None = Field(default=None, ge=1)
    """Largest number of models that stay loaded. By default as many as fit the GPU's memory, or a
    quarter of the host's without a GPU.
    """
    host_cache_bytes: int = Field(default=0, ge=0)
    """How much of the host's memory holds models that were evicted from a GPU; they return from there
    in seconds.
    """
    compile_denoiser: bool = False
    """Compile the network at the start: takes minutes, saves some percent of each step. CUDA only.
    """
    cuda_graphs: bool = False
    """Replay steps of a model's default size as CUDA graphs where that is faster. CUDA only."""
    cpu_threads: int | None = Field(default=None, ge=1)
    """Threads of one forward without a GPU; by default the number of available cores."""
    measure_at_start: bool = True
    """Measure batch sizes before accepting deliveries; otherwise `slots` is used as is."""
    checkpoint_interval_seconds: float = Field(default=2.0, ge=0.0)
    """Interval of a run's checkpoints, so that a killed worker loses only seconds; 0 disables them."""
    engine_silence_seconds: float = Field(default=120.0, gt=0.0)
    """Kill an engine that reports no step for this long, or for ten times the longest recent step
    if longer.
    """
    engine_loading_seconds: float = Field(default=900.0, gt=0.0)
    """The same limit during the engine's start and the load and warm-up of a model."""
    image_classifier: Annotated[Path, AfterValidator(_checked_folder)] | None = None
    """A folder with a safety checker in safetensors, which checks each image before it is stored.

    No previews are made then.
    """
    engine_niceness: int = Field(default=5, ge=0, le=19)
    """Niceness of the engine relative to the heartbeat."""

    @field_validator("models", mode="before")
    @classmethod
    def _separated(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(name for name in (part.strip() for part in value.split(",")) if name)

    @model_validator(mode="after")
    def _heartbeats_fit_the_claim(self) -> Self:
        if self.heartbeat_interval_seconds * 3 > self.claim_ttl_seconds:
            raise ValueError("claim_ttl_seconds must be at least three times heartbeat_interval_seconds")
        if self.heartbeat_interval_seconds * 2 > self.holder_silence_seconds:
            raise ValueError("holder_silence_seconds must be at least twice heartbeat_interval_seconds")
        return self
