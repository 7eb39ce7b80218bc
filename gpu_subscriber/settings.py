"""WorkerSettings: what an operator may set on a worker. Read from the environment, prefix `DARKROOM_`."""

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import NoDecode

from common.settings import SharedSettings


class WorkerSettings(SharedSettings):
    """How this worker claims, draws and leaves."""

    subscription: str = "darkroom-tasks-demo"
    """The subscription to pull from; each pool of workers has its own."""
    lease_seconds: int = Field(default=60, ge=10, le=600)
    """Each extension of a delivery's lease: what a stalled worker survives unnoticed, and how long Pub/Sub waits
    before it delivers a dead worker's tasks again."""
    pubsub_client_spans: bool = False
    """Have Google's client tell of each delivery in spans of its own: waiting, lease extensions, acknowledgement."""
    claim_ttl_seconds: float = Field(default=60.0, ge=5.0)
    """How long a claim outlives its last renewal: how soon another worker may take over from a dead one."""
    heartbeat_interval_seconds: float = Field(default=3.0, gt=0.0)
    """How often a claim is renewed at least."""
    holder_silence_seconds: float = Field(default=7.0, gt=0.0)
    """A task that is delivered again while its claim lives is taken over if the claim is not renewed for so long."""
    cancellation_look_seconds: float = Field(default=2.0, ge=0.1)
    """How long a cancellation goes unnoticed at most; costs a read each time where no write tells of it."""
    progress_interval_seconds: float = Field(default=1.0, ge=0.1)
    """The shortest pause between two progress writes of one task; Firestore bears one a second for long."""
    progress_event_seconds: float = Field(default=5.0, ge=0.5)
    """The shortest pause between two events of a task's progress, for owners who asked for them."""
    report_interval_seconds: float = Field(default=10.0, gt=0.0)
    """How often the worker says that it is alive, what it serves and how long things take it; each costs one write.
    Whoever has not been heard of for three times as long counts as gone."""
    attempt_timeout_seconds: float = Field(default=900.0, gt=0.0)
    """An attempt that generates for longer is interrupted and counts as failed. Waiting inside the worker for other
    tasks and for a model to load does not count; a task that waits for as long is handed back."""
    drain_deadline_seconds: float = Field(default=8.0, ge=0.0)
    """After SIGTERM: tasks that will be drawn by then are finished, the others handed back. The whole goodbye takes
    up to 7 s more, and a Spot node gives a pod 15."""
    patience_seconds: float = Field(default=45.0, ge=0.0)
    """How long a finished attempt tries to write its images and its ending to services that do not answer."""
    health_port: int = Field(default=8081, ge=0, le=65_535)
    """Where /healthz and /readyz answer; 0 takes any free port."""
    pod_name: str | None = None
    """The Kubernetes pod this worker runs in: it then says there what its removal would cost."""
    pod_namespace: str = "darkroom"
    """That pod's namespace."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to draw; `auto` takes a GPU where there is one."""
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    """The numbers to draw with; `auto` suits the device."""
    slots: int = Field(default=8, ge=1, le=64)
    """How many images may share a step at most; measured at the start. With a few in reserve, as many deliveries are
    taken at once. Models of the family `whole_pipeline` generate one image at a time, whatever this says."""
    models: Annotated[tuple[str, ...], NoDecode] = ()
    """The catalog's models that this worker serves, separated by commas; the first is loaded at the start. Empty: all.
    Its pool's autoscaler asks for the same, in an address, so that this is no JSON."""
    compile_denoiser: bool = False
    """Compile the network at the start: minutes of waiting for some percent of speed. CUDA only."""
    cpu_threads: int | None = Field(default=None, ge=1)
    """Threads of one forward where there is no GPU; by default as many as the process may run on."""
    measure_at_start: bool = True
    """Time batch sizes on the first model before taking deliveries; without it `slots` is taken at its word."""
    checkpoint_interval_seconds: float = Field(default=2.0, ge=0.0)
    """How often the state of a long Run is stored, so that a killed worker costs seconds; 0 turns it off."""
    engine_silence_seconds: float = Field(default=120.0, gt=0.0)
    """An engine that draws and reports no step for this long is killed; where steps are slow, ten of them count."""
    engine_loading_seconds: float = Field(default=900.0, gt=0.0)
    """The same while the engine starts, or loads and warms up a model."""
    engine_niceness: int = Field(default=5, ge=0, le=19)
    """How far the engine steps back behind the heartbeat when both want a core."""

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
