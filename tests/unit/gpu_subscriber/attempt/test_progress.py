"""The progress of a task's images."""

from common.domain.task import Phase
from common.domain.task_records import ImageProgress
from gpu_subscriber.attempt.progress import ProgressTracker
from tests.fakes.fake_clock import FakeClock


def test_snapshot_has_the_progress_of_each_image() -> None:
    tracker = ProgressTracker(images=3, steps=20, clock=FakeClock(), finished={2})
    tracker.phase_changed(0, Phase.DENOISING)
    tracker.step_done(0, 7)
    assert tracker.snapshot().progress.images == (
        ImageProgress(index=0, phase=Phase.DENOISING, step=7),
        ImageProgress(index=1, phase=Phase.WAITING, step=0),
        ImageProgress(index=2, phase=Phase.UPLOADING, step=20),
    )


def test_value_never_decreases_between_phases() -> None:
    tracker, values = ProgressTracker(images=2, steps=4, clock=FakeClock()), []
    for index in (0, 1):
        for phase in (Phase.LOADING_MODEL, Phase.ENCODING_PROMPT, Phase.DENOISING):
            tracker.phase_changed(index, phase)
            values.append(tracker.snapshot().progress.value)
        for step in (1, 2, 3, 4):
            tracker.step_done(index, step)
            values.append(tracker.snapshot().progress.value)
        tracker.phase_changed(index, Phase.DECODING)
        tracker.image_finished(index)
        values.append(tracker.snapshot().progress.value)
    assert values == sorted(values)
    assert values[-1] == 1.0
