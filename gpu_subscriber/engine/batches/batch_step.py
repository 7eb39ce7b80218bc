"""One step of one batch: prepare new Runs, run one shared forward, advance and finish each Run.

Memory: an image whose size needs more than is free is refused before its first step. A batch that
runs out of memory in spite of its cap is halved and retried at the next step. This is safe because
a forward changes no Run. Only a Run that fails alone fails.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import zip_longest

import structlog
import torch

from common.domain.task import Phase
from gpu_subscriber.engine.batches.batch_caps import BatchCaps
from gpu_subscriber.engine.batches.batch_decoding import BatchDecoding
from gpu_subscriber.engine.batches.memory_room import MemoryRoom
from gpu_subscriber.engine.batches.step_metrics import StepMetrics
from gpu_subscriber.engine.content_policy.image_classifier import ImageClassifier
from gpu_subscriber.engine.devices import Device, is_device_lost, is_out_of_memory
from gpu_subscriber.engine.errors import OutOfMemoryError
from gpu_subscriber.engine.families.guided import GuidedFamily
from gpu_subscriber.engine.messages import PhaseChanged
from gpu_subscriber.engine.runs.active_runs import ActiveRuns, Send
from gpu_subscriber.engine.runs.progress_reporter import ProgressReporter
from gpu_subscriber.engine.runs.run import Denoising, Rows, Run
from gpu_subscriber.engine.runs.run_state import prepare_run

_log = structlog.get_logger()


class BatchStep:
    """Takes steps for Runs that share a key. Runs that fail or finish leave the active runs on the way."""

    def __init__(
        self,
        *,
        active_runs: ActiveRuns,
        reporter: ProgressReporter,
        device: Device,
        caps: BatchCaps,
        room: MemoryRoom,
        classify: ImageClassifier,
        step_metrics: StepMetrics,
        send: Send,
        clock: Callable[[], float],
    ) -> None:
        self._active_runs = active_runs
        self._reporter = reporter
        self._device = device
        self._caps = caps
        self._room = room
        self._step_metrics = step_metrics
        self._decoding = BatchDecoding(
            active_runs=active_runs, device=device, caps=caps, room=room, classify=classify, send=send
        )
        self._send = send
        self._clock = clock

    def take(self, family: GuidedFamily, runs: Sequence[Run]) -> None:
        """Take one step for all of `runs`. Each pays for its preparation, and an equal share of the step."""
        self._prepare(family, [run for run in runs if run.denoising is None])
        ready = [run for run in runs if run in self._active_runs]
        if ready:
            step_began = self._device.mark()
            self._predict_and_advance(family, ready)
            self._device.charge(step_began, partial(self._stepped, ready))
        self._decoding.finish(
            family, [run for run in ready if run in self._active_runs and _state(run).is_done]
        )

    def _stepped(self, runs: Sequence[Run], seconds: float) -> None:
        self._step_metrics.stepped(runs[0].candidate.key.model, batch=len(runs), seconds=seconds)
        for run in runs:
            run.gpu_seconds += seconds / len(runs)
            run.stopwatch.step_taken(seconds, shared_by=len(runs))

    def _prepare(self, family: GuidedFamily, runs: Sequence[Run]) -> None:
        """Prepare new Runs. Their prompts are encoded together; a Run that is alone is encoded alone."""
        for run in runs:
            self._send(PhaseChanged(run_id=run.run_id, phase=Phase.ENCODING_PROMPT))
            with self._paid_by(run), self._active_runs.failing_on_error(run):
                self._make_room_or_refuse(family, run)
                family.loras.chosen(run.start.parameters.loras)  # reads their files
        fitting = [run for run in runs if run in self._active_runs]
        encoded = self._encoded(family, fitting) if fitting else []
        for run, branches in zip_longest(fitting, encoded):
            with self._paid_by(run), self._active_runs.failing_on_error(run):
                if run.start.inputs:
                    self._device.decoding.join()  # both use the autoencoder, and may change its precision
                prepare = partial(prepare_run, family, run, self._send, encoded=branches)
                self._room.work(family, prepare)
                run.began_at = run.checkpointed_at = self._clock()
                self._send(PhaseChanged(run_id=run.run_id, phase=Phase.DENOISING))

    @contextmanager
    def _paid_by(self, *runs: Run) -> Iterator[None]:
        """Charge the work of this block, a part of their preparation, to these Runs only."""
        began = self._device.mark()
        try:
            yield
        finally:
            self._device.charge(began, partial(_prepared_equally, runs))

    def _encoded(self, family: GuidedFamily, runs: Sequence[Run]) -> list[list[Rows]]:
        """Return what the denoiser receives of each Run's prompts; nothing if one of them has an error.

        Then each Run is encoded by itself, and works or fails by itself.
        """
        asked = [(run.start.parameters, run.start.inputs) for run in runs]
        encoded: list[list[Rows]] = []
        try:
            with self._device.encoding.working(), self._paid_by(*runs):
                encoded = self._room.work(family, partial(family.encode_together, asked))
        except Exception as error:
            if is_device_lost(error):
                raise
            _log.warning("prompts_not_encoded", runs=len(runs), error=type(error).__name__)
        if not encoded:
            family.drop_prompts()  # some of them may be encoded, and not handed over
            self._device.free_memory()
        self._device.encoding.hand_over(
            row for branches in encoded for rows in branches for row in rows.values()
        )
        return encoded

    def _make_room_or_refuse(self, family: GuidedFamily, run: Run) -> None:
        missing = self._caps.missing_for_step(run.candidate.key)
        if not self._room.make(family, missing=missing):
            size = f"{run.start.parameters.width} × {run.start.parameters.height}"
            raise OutOfMemoryError(f"an image of {size} needs {missing / 1e9:.1f} GB more than is free")

    def _predict_and_advance(self, family: GuidedFamily, runs: Sequence[Run]) -> None:
        unfinished = [run for run in runs if not _state(run).is_done]
        if len(unfinished) == 1:
            self._predict_alone(family, unfinished[0])
        elif unfinished:
            self._predict_together(family, unfinished)
        self._device.keep_pace()

    def _predict_alone(self, family: GuidedFamily, run: Run) -> None:
        with self._active_runs.failing_on_error(run):
            (prediction,) = self._room.work(family, partial(family.predict, [_state(run)]))
            self._caps.fitted(run.candidate.key, batch=1)
            self._reporter.take_step(family, run, prediction, batch=1)
        if run not in self._active_runs:
            self._device.free_memory()

    def _predict_together(self, family: GuidedFamily, runs: Sequence[Run]) -> None:
        predictions: list[torch.Tensor] = []
        fits = True
        try:
            predictions = family.predict([_state(run) for run in runs])
        except Exception as error:  # whatever one Run causes must not end those of others
            if is_device_lost(error):
                raise
            fits = not is_out_of_memory(error)
            if fits:
                _log.warning("batch_failed", batch=len(runs), error=type(error).__name__)
        if not fits:
            self._device.free_memory()
            self._caps.failed(runs[0].candidate.key, batch=len(runs))
            _log.warning("batch_halved", batch=len(runs), model=runs[0].start.parameters.model)
        elif predictions:
            self._caps.fitted(runs[0].candidate.key, batch=len(runs))
        else:
            # One Run's tensors do not fit the others', or its LoRAs cannot be applied. Alone, each
            # Run either works or fails by itself.
            for run in runs:
                self._predict_alone(family, run)
        for run, prediction in zip(runs, predictions, strict=False):
            with self._active_runs.failing_on_error(run):
                self._reporter.take_step(family, run, prediction, batch=len(runs))


def _prepared_equally(runs: Sequence[Run], seconds: float) -> None:
    for run in runs:
        run.gpu_seconds += seconds / len(runs)
        run.stopwatch.prepared(seconds / len(runs))


def _state(run: Run) -> Denoising:
    if run.denoising is None:
        raise ValueError(f"run {run.run_id} has not been prepared")
    return run.denoising
