"""Where a Run's state begins: prepared from its parameters, or brought to where a checkpoint was made."""

from collections.abc import Sequence

import structlog
import torch

from gpu_subscriber.engine.checkpoint import Snapshot, restore
from gpu_subscriber.engine.errors import CheckpointRefusedError
from gpu_subscriber.engine.families.stepping import SteppingFamily
from gpu_subscriber.engine.messages import CheckpointRefused, RunWarned
from gpu_subscriber.engine.roster import Send
from gpu_subscriber.engine.run import Run

_log = structlog.get_logger()


def prepare_run(family: SteppingFamily, run: Run, send: Send) -> None:
    """Give the Run its state. A checkpoint that does not fit is refused, and the Run starts over."""
    parameters, index = run.start.parameters, run.start.index
    state = family.prepare(parameters, seed=run.seed)
    if run.start.checkpoint is not None:
        try:
            restore(state, run.start.checkpoint, parameters, index=index)
        except CheckpointRefusedError as error:
            state.past.started_over_because = str(error)
            send(CheckpointRefused(run_id=run.run_id, reason=str(error)))
    if state.warnings:
        send(RunWarned(run_id=run.run_id, warnings=state.warnings))
    run.denoising = state
    run.resumed_at_step = run.note_steps()


def snapshot_of(run: Run) -> Snapshot | None:
    """The Run's state, still on the device; None before its first step, and for samplers that cannot be saved."""
    state = run.denoising
    if state is None or state.step_index == 0:
        return None
    try:
        return Snapshot.of(state, run.start.parameters, index=run.start.index)
    except CheckpointRefusedError as error:
        _log.warning("checkpoint_not_made", run_id=run.run_id, reason=str(error))
        return None


def written(snapshot: Snapshot, arrived: Sequence[torch.Tensor], *, run_id: str) -> bytes | None:
    """The snapshot as bytes, its tensors having arrived on the CPU; None when it is too large."""
    try:
        return snapshot.as_bytes(arrived)
    except CheckpointRefusedError as error:
        _log.warning("checkpoint_not_made", run_id=run_id, reason=str(error))
        return None


def checkpoint_of(run: Run) -> bytes | None:
    """The Run's state as bytes, at once: waits for the device. None where there is none to be had."""
    snapshot = snapshot_of(run)
    if snapshot is None:
        return None
    return written(snapshot, [tensor.to("cpu") for tensor in snapshot.tensors.values()], run_id=run.run_id)
