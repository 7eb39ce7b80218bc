"""The start of a Run's state: prepared from its parameters, or restored from a checkpoint."""

from collections.abc import Sequence

import structlog
import torch

from gpu_subscriber.engine.errors import CheckpointRefusedError
from gpu_subscriber.engine.families.guided import GuidedFamily
from gpu_subscriber.engine.messages import CheckpointRefused, RunWarned
from gpu_subscriber.engine.runs.active_runs import Send
from gpu_subscriber.engine.runs.checkpoint import Snapshot, restore
from gpu_subscriber.engine.runs.run import Rows, Run

_log = structlog.get_logger()


def prepare_run(family: GuidedFamily, run: Run, send: Send, *, encoded: Sequence[Rows] | None = None) -> None:
    """Prepare the Run's state. A checkpoint that does not fit is refused, and the Run starts over.

    `encoded` is what the denoiser receives of its prompts, if they were encoded before.
    """
    parameters, index = run.start.parameters, run.start.index
    state, environment = (
        family.prepare(parameters, seed=run.seed, inputs=run.start.inputs, encoded=encoded),
        family.origin.environment,
    )
    if run.start.checkpoint is not None:
        try:
            restore(state, run.start.checkpoint, parameters, index=index, environment=environment)
        except CheckpointRefusedError as error:
            state.run_history.started_over_because = str(error)
            send(CheckpointRefused(run_id=run.run_id, reason=str(error)))
    if state.warnings:
        send(RunWarned(run_id=run.run_id, warnings=state.warnings))
    run.denoising, run.environment = state, environment
    run.resumed_at_step = run.count_steps()


def snapshot_of(run: Run) -> Snapshot | None:
    """Return the state on the device; None before the first step or if it cannot be saved."""
    state, environment = run.denoising, run.environment
    if state is None or environment is None or state.step_index == 0:
        return None
    try:
        return Snapshot.of(state, run.start.parameters, index=run.start.index, environment=environment)
    except CheckpointRefusedError as error:
        _log.warning("checkpoint_not_made", run_id=run.run_id, reason=str(error))
        return None


def written(snapshot: Snapshot, arrived: Sequence[torch.Tensor], *, run_id: str) -> bytes | None:
    """Return the snapshot as bytes once its tensors are on the CPU; None when it is too large."""
    try:
        return snapshot.as_bytes(arrived)
    except CheckpointRefusedError as error:
        _log.warning("checkpoint_not_made", run_id=run_id, reason=str(error))
        return None


def checkpoint_of(run: Run) -> bytes | None:
    """Return the Run's state as bytes at once, waiting for the device.

    None when no checkpoint can be made.
    """
    snapshot = snapshot_of(run)
    if snapshot is None:
        return None
    return written(snapshot, [tensor.to("cpu") for tensor in snapshot.tensors.values()], run_id=run.run_id)
