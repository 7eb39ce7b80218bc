"""Builds domain values with every field filled, so that a test only sets the fields that matter."""

from datetime import UTC, datetime, timedelta
from typing import Any

from common.domain.images import StoredImage, image_object_name
from common.domain.models.catalog import DEMO_MODEL
from common.domain.parameters import GenerationParameters
from common.domain.provenance import DrawConditions, Environment, Provenance
from common.domain.task import AttemptOutput, Claim, RunSeconds, Task
from common.domain.worker_report import WorkerReport

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


def parameters(**changes: Any) -> GenerationParameters:
    """Return complete parameters for the demo model."""
    # Not the default, so that the golden files do not change with the demo model's defaults.
    asked = {"prompt": "a large red circle", "guidance_scale": 4.0, **changes}
    seed = asked.pop("seed", 12_345)
    return DEMO_MODEL.completed(asked, seed=seed)


def submitted_task(**changes: Any) -> Task:
    """Return a task in the state right after acceptance."""
    fields: dict[str, Any] = {
        "task_id": "task-1",
        "user_id": "ada",
        "parameters": parameters(),
        "now": NOW,
        "keep_for": timedelta(days=30),
        **changes,
    }
    return Task.submitted(**fields)


def claim_of(task: Task) -> Claim:
    """Return the claim of a processing task."""
    assert task.claim is not None
    return task.claim


def stored_image(task: Task, index: int = 0, *, attempt: int | None = None) -> StoredImage:
    """Return an image as an attempt of the task stores it; by default the current attempt."""
    name = image_object_name(
        task.folder,
        attempt=attempt or task.attempt,
        index=index,
        extension=task.parameters.output_format.extension,
    )
    return StoredImage(
        index=index,
        object_name=name,
        width=task.parameters.width,
        height=task.parameters.height,
        seed=task.parameters.seed_of(index),
        content_type=task.parameters.output_format.content_type,
        size_bytes=10,
        sha256="ab" * 32,
    )


def spent(gpu_seconds: float, *, index: int = 0) -> AttemptOutput:
    """Return the output of an attempt that used this many seconds and produced no image."""
    return AttemptOutput(runs=(RunSeconds(index=index, gpu_seconds=gpu_seconds),))


def worker_report(worker_id: str = "worker-1", **changes: Any) -> WorkerReport:
    """Return a report of a worker that serves the demo model and has not generated anything yet."""
    fields: dict[str, Any] = {
        "models": ("demo",),
        "device": "cpu",
        "slots": 4,
        "deliveries": 5,
        "reported_at": NOW,
        "alive_until": NOW + timedelta(seconds=30),
        "expires_at": NOW + timedelta(days=7),
        **changes,
    }
    return WorkerReport(worker_id=worker_id, **fields)


def environment(**changes: Any) -> Environment:
    """Return the environment of an image, for tests that generate none."""
    fields: dict[str, Any] = {
        "device": "cpu",
        "capability": "AVX2",
        "threads": 2,
        "dtype": "float32",
        "channels_last": ("vae",),
        "versions": {"darkroom": "0.1.0", "python": "3.11.0", "torch": "2.13.0"},
        **changes,
    }
    return Environment(**fields)


def draw_conditions(**changes: Any) -> DrawConditions:
    """Return an engine's report about a Run."""
    fields: dict[str, Any] = {
        "weights": {"unet/diffusion_pytorch_model.safetensors": "cd" * 32},
        "sampler_config": {"class": "DDIMScheduler", "clip_sample": False, "steps_offset": 1},
        "environment": environment(),
        "batches": (1,) * 20,
        **changes,
    }
    return DrawConditions(**fields)


def provenance(**changes: Any) -> Provenance:
    """Return the provenance of a stored image."""
    fields: dict[str, Any] = {
        **dict(draw_conditions()),
        "attempt": 1,
        "pixels_sha256": "ef" * 32,
        "decoded_sha256": "ef" * 32,
        **changes,
    }
    return Provenance(**fields)
