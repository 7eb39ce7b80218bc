"""Where a Run's state begins: prepared from its parameters, or brought to where a checkpoint was made."""

import structlog

from gpu_subscriber.engine.checkpoint import restore, saved
from gpu_subscriber.engine.errors import CheckpointRefusedError
from gpu_subscriber.engine.families.stepping import SteppingFamily
from gpu_subscriber.engine.run import Run

_log = structlog.get_logger()


def prepare_run(family: SteppingFamily, run: Run) -> None:
    """Give the Run its state. A checkpoint that does not fit is refused, and the Run starts over."""
    parameters, index = run.start.parameters, run.start.index
    state = family.prepare(parameters, seed=run.seed)
    if run.start.checkpoint is not None:
        try:
            restore(state, run.start.checkpoint, parameters, index=index)
        except CheckpointRefusedError as error:
            _log.warning("checkpoint_refused", run_id=run.run_id, reason=str(error))
    run.denoising = state
    run.resumed_at_step = run.note_steps()


def checkpoint_of(run: Run) -> bytes | None:
    """The Run's state as bytes; None before its first step, and for samplers that cannot be saved."""
    state = run.denoising
    if state is None or state.step_index == 0:
        return None
    try:
        return saved(state, run.start.parameters, index=run.start.index)
    except CheckpointRefusedError as error:
        _log.warning("checkpoint_not_made", run_id=run.run_id, reason=str(error))
        return None
