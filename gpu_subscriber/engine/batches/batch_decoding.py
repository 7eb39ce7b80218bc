"""From final latents to pixels on their way to the CPU.

Images are decoded together where that is faster, and in tiles where memory is short.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import structlog
import torch

from common.domain.task import Phase
from gpu_subscriber.engine.batches.batch_caps import BatchCaps
from gpu_subscriber.engine.batches.batch_planning import BatchKey
from gpu_subscriber.engine.batches.memory_room import MemoryRoom
from gpu_subscriber.engine.content_policy.image_classifier import ImageClassifier
from gpu_subscriber.engine.devices import Device, is_device_lost, is_out_of_memory
from gpu_subscriber.engine.families.decoded import Decoded
from gpu_subscriber.engine.families.guided import GuidedFamily
from gpu_subscriber.engine.messages import PhaseChanged
from gpu_subscriber.engine.runs.active_runs import ActiveRuns, Send
from gpu_subscriber.engine.runs.run import Denoising, Run

_log = structlog.get_logger()


class BatchDecoding:
    """Decodes the Runs that took their last step together."""

    def __init__(
        self,
        *,
        active_runs: ActiveRuns,
        device: Device,
        caps: BatchCaps,
        room: MemoryRoom,
        classify: ImageClassifier,
        send: Send,
    ) -> None:
        self._active_runs = active_runs
        self._device = device
        self._caps = caps
        self._room = room
        self._classify = classify
        self._send = send

    def finish(self, family: GuidedFamily, runs: Sequence[Run]) -> None:
        """Decode Runs of one key, in batches of the measured size. Each is charged an equal share."""
        if not runs:
            return
        for run in runs:
            self._send(PhaseChanged(run_id=run.run_id, phase=Phase.DECODING))
        at_once = self._caps.decoding_batch_of(runs[0].candidate.key)
        for first in range(0, len(runs), at_once):
            batch = runs[first : first + at_once]
            if len(batch) == 1 or not self._finish_together(family, batch):
                for run in batch:
                    self._finish_alone(family, run)

    def _finish_together(self, family: GuidedFamily, runs: Sequence[Run]) -> bool:
        """Return whether all images were decoded. Otherwise each Run works or fails by itself."""
        if self._caps.missing_for_decoding(runs[0].candidate.key, images=len(runs)) > 0:
            return False
        decoded: list[Decoded] = []
        with self._beside_steps(family, runs):
            began = self._device.mark()
            try:
                decoded = family.decode_together([_state(run) for run in runs])
            except Exception as error:
                if is_device_lost(error):
                    raise
                _log.warning("batch_not_decoded", batch=len(runs), error=type(error).__name__)
            finally:
                self._device.charge(began, partial(_charge_decoding, runs))
            for run, image in zip(runs, decoded, strict=False):
                self._deliver(family, run, image, together=len(runs))
        if not decoded:
            self._device.free_memory()
        return bool(decoded)

    def _finish_alone(self, family: GuidedFamily, run: Run) -> None:
        with self._active_runs.failing_on_error(run), self._beside_steps(family, [run]):
            began = self._device.mark()
            try:
                decoded, in_tiles = self._decoded(family, _state(run), run.candidate.key)
            finally:
                self._device.charge(began, partial(_charge_decoding, [run]))
            self._deliver(family, run, decoded, in_tiles=in_tiles)

    @contextmanager
    def _beside_steps(self, family: GuidedFamily, runs: Sequence[Run]) -> Iterator[None]:
        """Decode beside the next steps if the memory suffices for both, otherwise before them."""
        stream, key = self._device.decoding, runs[0].candidate.key
        if family.decodes_beside_steps and self._caps.fits_beside_steps(key, images=len(runs)):
            with stream.working(*(_state(run).latents for run in runs)):
                yield
            return
        stream.join()
        try:
            yield
        finally:
            stream.join()

    def _decoded(self, family: GuidedFamily, state: Denoising, key: BatchKey) -> tuple[Decoded, bool]:
        """Return the image and whether it was decoded in tiles."""
        if self._room.make(family, missing=self._caps.missing_for_decoding(key)):
            try:
                return self._room.work(family, partial(family.decode, state)), False
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                _log.warning("decoding_tiled", error=type(error).__name__)
            self._device.free_memory()
        return self._room.work(family, partial(family.decode, state, tiled=True)), True

    def _deliver(
        self, family: GuidedFamily, run: Run, decoded: Decoded, *, in_tiles: bool = False, together: int = 1
    ) -> None:
        state = _state(run)
        with self._active_runs.failing_on_error(run):
            began = self._device.mark()
            refused = self._room.work(family, partial(self._classify, decoded.pixels))
            self._device.charge(began, partial(_charge_decoding, [run]))
            draw_conditions = family.origin.draw_conditions(
                state.scheduler,
                state.run_history,
                decoded_in_tiles=in_tiles,
                decoded_together=together,
                loras=state.loras,
            )

            def deliver(pixels: torch.Tensor, *verdicts: torch.Tensor) -> None:
                finite, varied, refused = verdicts
                self._active_runs.deliver(
                    run, draw_conditions, pixels, finite=finite, varied=varied, refused=refused
                )

            self._active_runs.release(run)
            self._device.fetch(decoded.pixels, decoded.finite, decoded.varied, refused, deliver=deliver)


def _charge_decoding(runs: Sequence[Run], seconds: float) -> None:
    for run in runs:
        run.stopwatch.decoding_seconds += seconds / len(runs)
        run.gpu_seconds += seconds / len(runs)


def _state(run: Run) -> Denoising:
    if run.denoising is None:
        raise ValueError(f"run {run.run_id} has not been prepared")
    return run.denoising
