"""Reports during a Run: steps, previews, and checkpoints every few seconds."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from gpu_subscriber.engine.devices import Device
from gpu_subscriber.engine.engine_settings import EngineSettings
from gpu_subscriber.engine.families.guided import GuidedFamily
from gpu_subscriber.engine.messages import CheckpointReady, PreviewReady, StepDone
from gpu_subscriber.engine.runs.active_runs import Send
from gpu_subscriber.engine.runs.previews import encode_preview, preview_is_due
from gpu_subscriber.engine.runs.run import Run
from gpu_subscriber.engine.runs.run_state import snapshot_of, written

CHECKPOINT_SHARE = 0.01
"""Largest share of the engine's time for periodic checkpoints.

Expensive checkpoints are made less often.
"""


class ProgressReporter:
    """Sends reports on Runs. Copies of previews and checkpoints from the device never block a step."""

    def __init__(
        self, *, settings: EngineSettings, device: Device, send: Send, clock: Callable[[], float]
    ) -> None:
        self._makes_previews = settings.image_classifier is None
        """A preview would show what the classifier refuses."""
        self._preview_interval = settings.preview_interval_seconds
        self._checkpoint_interval = settings.checkpoint_interval_seconds
        self._device = device
        self._send = send
        self._clock = clock
        self._no_checkpoint_before = float("-inf")

    def take_step(self, family: GuidedFamily, run: Run, prediction: torch.Tensor, *, batch: int) -> None:
        """Take the sampler's step with this guided prediction, and send the due reports.

        `batch`: how many Runs shared the forward.
        """
        state = run.denoising
        if state is None:
            raise ValueError(f"run {run.run_id} has not been prepared")
        now = self._clock()
        # The clean latents are estimated from the latents before the step; the step itself replaces them.
        if not family.checker.exists and self._preview_is_due(run, run.steps_done + 1, now):
            with self._device.decoding.working(state.latents, prediction):
                self._show(run, family.preview(state, prediction), now)
        state.advance(prediction)
        state.run_history.batches.append(batch)
        self._send(
            StepDone(
                run_id=run.run_id,
                step=run.count_steps(),
                steps=run.start.parameters.computed_steps,
                gpu_seconds=run.gpu_seconds,
            )
        )
        if self._checkpoint_interval and not state.is_done:
            self._save_when_due(run, now)

    def report_step(
        self, run: Run, *, step: int, steps: int, preview: Callable[[], torch.Tensor | None]
    ) -> None:
        """Report that a stock pipeline took step `step` of `steps`.

        `preview` returns the picture (h, w, 3) uint8 of its latents, if it can.
        """
        asked = run.start.parameters.computed_steps
        run.steps_done = min(asked, -(-step * asked // max(1, steps)))
        self._send(StepDone(run_id=run.run_id, step=run.steps_done, steps=asked, gpu_seconds=run.gpu_seconds))
        now = self._clock()
        if self._preview_is_due(run, run.steps_done, now) and (pixels := preview()) is not None:
            self._show(run, pixels, now)

    def _preview_is_due(self, run: Run, steps_done: int, now: float) -> bool:
        return self._makes_previews and preview_is_due(
            steps_done=steps_done,
            steps=run.start.parameters.computed_steps,
            elapsed=now - run.began_at,
            since_last=None if run.previewed_at is None else now - run.previewed_at,
            interval=self._preview_interval,
        )

    def _show(self, run: Run, pixels: torch.Tensor, now: float) -> None:
        run.previewed_at = now
        run_id, step = run.run_id, run.steps_done + (run.denoising is not None)

        def deliver(arrived: torch.Tensor) -> None:
            self._send(PreviewReady(run_id=run_id, step=step, jpeg=encode_preview(arrived)))

        self._device.fetch(pixels, deliver=deliver)

    def _save_when_due(self, run: Run, now: float) -> None:
        due = max(run.checkpointed_at + self._checkpoint_interval, self._no_checkpoint_before)
        if now < due:
            return
        run.checkpointed_at = now
        with self._charged():
            snapshot = snapshot_of(run)
            if snapshot is None:
                return
            run_id, step = run.run_id, run.steps_done

            def deliver(*arrived: torch.Tensor) -> None:
                with self._charged():
                    if checkpoint := written(snapshot, arrived, run_id=run_id):
                        self._send(CheckpointReady(run_id=run_id, step=step, checkpoint=checkpoint))

            self._device.fetch(*snapshot.tensors.values(), deliver=deliver)

    @contextmanager
    def _charged(self) -> Iterator[None]:
        """Measure the time of this block and pause all checkpoints, of any Run, in proportion to it."""
        began = self._clock()
        yield
        ended = self._clock()
        self._no_checkpoint_before = (
            max(self._no_checkpoint_before, ended) + (ended - began) / CHECKPOINT_SHARE
        )
