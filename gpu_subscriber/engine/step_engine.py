"""The step engine: advances every Run of this device step by step, in shared batches.

`receive` and `advance` are called from one thread, the only one that accesses the device. An error
of one Run fails that Run. A poisoned device (`is_device_lost`) makes `advance` raise, and the
process exits.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import torch

from common.domain.task import Phase
from gpu_subscriber.engine.batches.batch_caps import BatchCaps
from gpu_subscriber.engine.batches.batch_planning import (
    BatchKey,
    LastLoad,
    SchedulingDelays,
    plan_batch,
)
from gpu_subscriber.engine.batches.batch_step import BatchStep
from gpu_subscriber.engine.batches.memory_room import MemoryRoom
from gpu_subscriber.engine.batches.round_robin import RoundRobin
from gpu_subscriber.engine.batches.step_metrics import StepMetrics
from gpu_subscriber.engine.content_policy.image_classifier import ImageClassifier, accept_all
from gpu_subscriber.engine.devices import Device
from gpu_subscriber.engine.engine_settings import EngineSettings
from gpu_subscriber.engine.errors import ModelUnavailableError, RunStoppedError
from gpu_subscriber.engine.families.whole_pipeline import WholePipeline
from gpu_subscriber.engine.messages import Interrupt, PhaseChanged, RunWarned, Start
from gpu_subscriber.engine.models.loading import Family
from gpu_subscriber.engine.models.model_cache import ModelCache
from gpu_subscriber.engine.runs.active_runs import ActiveRuns, Send
from gpu_subscriber.engine.runs.progress_reporter import ProgressReporter
from gpu_subscriber.engine.runs.run import Run
from gpu_subscriber.engine.runs.run_state import checkpoint_of


class StepEngine:
    """Owns the Runs.

    `pump` is called at each step of a whole pipeline, so that messages are processed.
    """

    def __init__(
        self,
        *,
        model_cache: ModelCache,
        device: Device,
        caps: BatchCaps,
        settings: EngineSettings,
        send: Send,
        classify: ImageClassifier = accept_all,
        pump: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._model_cache = model_cache
        self._device = device
        self._caps = caps
        self._room = MemoryRoom(device, model_cache.loras)
        self._send = send
        self._classify = classify
        self._pump = pump
        self._clock = clock
        self._delays = SchedulingDelays(
            model_switch_seconds=settings.model_switch_patience_seconds,
            batch_lane_seconds=settings.batch_lane_patience_seconds,
        )
        self._active_runs = ActiveRuns(send=send, clock=clock, defer=device.defer)
        self._reporter = ProgressReporter(settings=settings, device=device, send=send, clock=clock)
        self._step_metrics = StepMetrics(send=send, clock=clock)
        self._batch_step = BatchStep(
            active_runs=self._active_runs,
            reporter=self._reporter,
            device=device,
            caps=caps,
            room=self._room,
            classify=classify,
            step_metrics=self._step_metrics,
            send=send,
            clock=clock,
        )
        self._round_robin = RoundRobin[BatchKey](quantum_seconds=settings.quantum_seconds)
        self._last_load = LastLoad()
        self._generating: Run | None = None
        self._stop_generating = False

    @property
    def is_busy(self) -> bool:
        """Whether `advance` has anything to do."""
        return bool(self._active_runs) or self._device.has_transfers

    def receive(self, message: Start | Interrupt) -> None:
        """Add a new Run, or stop one at once: no step is in progress during this call."""
        if isinstance(message, Start):
            run = self._active_runs.add(message, self._model_cache.batch_key(message.parameters))
            if not self._model_cache.offers(message.parameters.model):
                model = message.parameters.model
                self._active_runs.fail(
                    run, ModelUnavailableError(model, reason="this worker does not offer it")
                )
                self._answer()
            return
        if self._active_runs.get(message.run_id) is None:
            # Its image is on its way, and may have to be generated again.
            self._device.finish_transfers(wait=True)
        stopped = self._active_runs.get(message.run_id)
        if stopped is not None and stopped is self._generating:
            self._stop_generating = True
        elif stopped is not None:
            self._interrupt(stopped, want_checkpoint=message.want_checkpoint)
            self._answer()

    def interrupt_all(self, *, want_checkpoints: bool) -> None:
        """Stop every Run; images already on their way from the device are still delivered."""
        self._device.finish_transfers(wait=True)  # first: one of them may have to be generated again
        for run in self._active_runs:
            self._interrupt(run, want_checkpoint=want_checkpoints)
        self._device.finish_transfers(wait=True)

    def stop_generating(self) -> None:
        """Leave a whole pipeline at its next step, if one is drawing."""
        self._stop_generating = True

    @torch.inference_mode()
    def advance(self) -> None:
        """Take one step for one batch, including its loads, preparations, decodes and deliveries."""
        # Without further work there is nothing to overlap the last copies with.
        self._device.finish_transfers(wait=not self._active_runs)
        batch = plan_batch(
            [run.candidate for run in self._active_runs],
            round_robin=self._round_robin,
            loaded=self._model_cache.loaded,
            cap_of=self._caps.cap_of,
            most_lora_sets_of=self._model_cache.most_lora_sets_of,
            now=self._clock(),
            last_load=self._last_load,
            delays=self._delays,
        )
        runs = [run for candidate in batch if (run := self._active_runs.get(candidate.run_id)) is not None]
        if not runs:
            return
        began = self._device.mark()
        family = self._family(runs[0].start.parameters.model)
        if family is not None:
            self._take_step(family, runs)
        if not self._active_runs:
            self._device.decoding.join()  # no step is left to overlap with: decoding is all of the work
        self._answer()
        self._device.charge(
            began, lambda seconds: self._step_metrics.worked(seconds, is_done=not self._active_runs)
        )

    def _take_step(self, family: Family, runs: Sequence[Run]) -> None:
        key = runs[0].candidate.key
        runs = runs[: self._caps.cap_of(key)]  # a load may have lowered it
        expected, began = self._round_robin.expect(key), self._device.mark()
        if isinstance(family, WholePipeline):
            self._draw(family, runs[0])
        else:
            self._batch_step.take(family, runs)
        self._device.charge(began, partial(self._round_robin.settle, key, expected))

    def _answer(self) -> None:
        """Send the results that the device has finished.

        Answers of ended Runs wait for the times of their last steps.
        """
        self._active_runs.answer_failures()
        self._device.finish_transfers()

    def _family(self, model: str) -> Family | None:
        """Return the model, loaded if necessary; None when that failed, and its Runs with it."""
        if model in self._model_cache.loaded:
            return self._model_cache.get(model)

        def tell_runs() -> None:  # also the parent, which limits the time of each load
            for run in self._active_runs.of_model(model):
                self._send(PhaseChanged(run_id=run.run_id, phase=Phase.LOADING_MODEL))

        began = self._clock()
        self._device.join_side_streams()  # a load reuses the memory of evicted models
        try:
            family = self._model_cache.get(model, before_load=tell_runs)
            for run in self._active_runs.of_model(model):
                run.candidate = replace(run.candidate, key=self._model_cache.batch_key(run.start.parameters))
            return family
        except ModelUnavailableError as error:
            for run in self._active_runs.of_model(model):
                self._active_runs.fail(run, error)
            return None
        finally:
            self._device.join_side_streams()
            now = self._clock()
            self._last_load = LastLoad(ended_at=now, seconds=now - began)

    def _draw(self, family: WholePipeline, run: Run) -> None:
        """Draw a whole image in one call.

        Only this Run can be stopped meanwhile; new ones wait for its end.
        """
        run.began_at = self._clock()
        stepped_at, earlier_seconds = self._device.mark(), run.gpu_seconds
        self._generating, self._stop_generating = run, False

        def pay(seconds: float) -> None:
            run.gpu_seconds += seconds

        def pay_step(seconds: float) -> None:
            self._step_metrics.stepped(run.candidate.key.model, batch=1, seconds=seconds)
            pay(seconds)

        def on_step(step: int, steps: int, latents: torch.Tensor | None) -> None:
            nonlocal stepped_at
            self._device.charge(stepped_at, pay_step)
            stepped_at = self._device.mark()
            self._reporter.report_step(run, step=step, steps=steps, preview=lambda: family.preview(latents))
            self._device.finish_transfers()
            self._pump()
            if self._stop_generating:
                raise RunStoppedError("interrupted")

        self._send(PhaseChanged(run_id=run.run_id, phase=Phase.DENOISING))
        try:
            with self._active_runs.failing_on_error(run):
                if warnings := family.warnings_of(run.start.parameters):
                    self._send(RunWarned(run_id=run.run_id, warnings=warnings))
                try:
                    draw = partial(family.generate, run.start.parameters, seed=run.seed, on_step=on_step)
                    generated = self._room.work(family, draw)
                    refused = self._room.work(family, partial(self._classify, generated.pixels))
                finally:
                    self._device.charge(stepped_at, pay)
                self._device.finish_transfers(wait=True)  # the pixels are here, so every time is known
                seconds = run.gpu_seconds - earlier_seconds
                run.stopwatch.whole_image_done(seconds, steps=run.start.parameters.steps)
                conditions = family.draw_conditions(run.start.parameters)
                self._active_runs.release(run)
                self._active_runs.deliver(
                    run,
                    conditions,
                    generated.pixels,
                    finite=generated.finite,
                    varied=generated.varied,
                    refused=refused,
                )
        except RunStoppedError:
            self._active_runs.interrupt(run)
        finally:
            self._generating = None

    def _interrupt(self, run: Run, *, want_checkpoint: bool) -> None:
        self._active_runs.interrupt(run, checkpoint=checkpoint_of(run) if want_checkpoint else None)
