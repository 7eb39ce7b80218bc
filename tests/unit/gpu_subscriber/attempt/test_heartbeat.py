"""The heartbeat, beat by beat: when it writes, what it reads, and how it reacts."""

import threading
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from common.domain.task import Phase, Task
from gpu_subscriber.attempt.active_task import ActiveTask, Pace, StopReason
from gpu_subscriber.attempt.heartbeat import Heartbeat
from gpu_subscriber.attempt.progress import ProgressTracker
from tests.factories import submitted_task
from tests.fakes.fake_clock import FakeClock
from tests.fakes.in_memory_task_store import InMemoryTaskStore
from tests.fakes.scripted_generator import ScriptedGeneration, draw_everything

TTL = timedelta(seconds=60)
STEPS = 20


@dataclass(slots=True)
class Setting:
    """One active task of one image under a heartbeat; `revision` increases with each write."""

    clock: FakeClock = field(default_factory=FakeClock)
    store: InMemoryTaskStore = field(default_factory=InMemoryTaskStore)
    heartbeat: Heartbeat = field(init=False)
    active: ActiveTask = field(init=False)
    progress: list[Task] = field(default_factory=list)
    """The task at each progress report."""

    def __post_init__(self) -> None:
        self.heartbeat = Heartbeat(clock=self.clock, claim_ttl=TTL, pace=Pace())
        self.active = self.claim_new_task()

    def claim_new_task(self) -> ActiveTask:
        task = self.store.create(submitted_task(now=self.clock.now()))
        claimed = self.store.update(task.id, lambda t: t.claimed_by("worker-a", self.clock.now(), TTL))
        return ActiveTask(
            claimed,
            store=self.store,
            clock=self.clock,
            on_change=self.heartbeat.wake,
            on_progress=self.progress.append,
        )

    @property
    def stored(self) -> Task:
        return self.store.get(self.active.task.id)

    def beat_after(self, seconds: float) -> bool:
        """Return whether a beat `seconds` later wrote anything."""
        self.clock.advance(seconds)
        before = self.stored.revision
        with self.heartbeat.holding(self.active):
            self.heartbeat.beat()
        return self.stored.revision != before

    def draw_to(self, step: int) -> None:
        self.active.phase_changed(0, Phase.DENOISING)
        self.active.step_done(0, step)


@pytest.fixture
def setting() -> Setting:
    return Setting()


def test_renewal_writes_the_progress(setting: Setting) -> None:
    setting.draw_to(5)
    assert setting.beat_after(1.1)
    assert not setting.beat_after(0.1)
    assert setting.progress == [setting.stored]
    assert setting.progress[0].progress.step == 5


def test_claim_is_renewed_every_three_seconds(setting: Setting) -> None:
    assert not setting.beat_after(2.9)
    assert setting.beat_after(0.2)
    assert setting.stored.claim is not None
    assert setting.stored.claim.expires_at == setting.clock.now() + TTL
    assert not setting.beat_after(2.9)


def test_claim_is_renewed_when_the_clock_is_set_back(setting: Setting) -> None:
    assert setting.beat_after(3.0)
    assert not setting.beat_after(-600.0)
    assert setting.beat_after(3.0)


def test_first_denoising_step_is_written_immediately(setting: Setting) -> None:
    setting.draw_to(1)
    assert setting.beat_after(0.0)
    assert (setting.stored.progress.phase, setting.stored.progress.step) == (Phase.DENOISING, 1)


def test_progress_is_written_each_second_per_tenth_of_the_work(setting: Setting) -> None:
    setting.draw_to(1)
    setting.beat_after(0.0)
    setting.draw_to(2)
    assert not setting.beat_after(1.5)  # one twentieth further: not worth a write
    setting.draw_to(4)
    assert setting.beat_after(0.0)
    setting.draw_to(10)
    assert not setting.beat_after(0.9)  # far enough, but too soon
    assert setting.beat_after(0.2)
    assert setting.stored.progress.value == 0.5


def draw_first_preview(setting: Setting, *, seconds_per_step: float) -> bool:
    """Take the first two steps, of which the second has a preview. Return whether it is written at once."""
    setting.active.phase_changed(0, Phase.DENOISING)
    setting.clock.advance(seconds_per_step)
    setting.draw_to(1)
    assert setting.beat_after(0.0)
    setting.clock.advance(seconds_per_step)
    setting.draw_to(2)
    setting.active.preview_ready(0, 2, b"jpeg")
    return setting.beat_after(0.0)


@pytest.mark.parametrize("seconds_per_step", [0.02, 0.05, 1.0])
def test_first_preview_is_written_immediately(setting: Setting, seconds_per_step: float) -> None:
    assert draw_first_preview(setting, seconds_per_step=seconds_per_step)
    assert [preview.jpeg for preview in setting.stored.previews] == [b"jpeg"]
    assert not setting.beat_after(0.0)


def test_first_preview_waits_when_the_image_may_be_faster(setting: Setting) -> None:
    assert not draw_first_preview(setting, seconds_per_step=0.01)
    assert setting.beat_after(0.3)  # the image has taken longer than expected
    assert [preview.jpeg for preview in setting.stored.previews] == [b"jpeg"]


def test_image_of_30_seconds_has_about_ten_writes(setting: Setting) -> None:
    writes = 0
    for step in range(1, STEPS + 1):
        setting.draw_to(step)
        writes += setting.beat_after(1.4)
    assert writes <= 12


def attached_generation(active: ActiveTask) -> ScriptedGeneration:
    generation = ScriptedGeneration(active.task, active, {}, draw_everything)
    active.attach(generation)
    return generation


@pytest.mark.parametrize("seconds", [2.0, 10.0])
def test_heartbeat_stops_a_cancelled_task(setting: Setting, seconds: float) -> None:
    generation = attached_generation(setting.active)
    setting.store.update(setting.active.task.id, lambda t: t.cancel_requested(setting.clock.now()))
    setting.beat_after(seconds)
    assert setting.active.stop_reason is StopReason.CANCELLED
    assert generation.interrupted


@pytest.mark.parametrize("seconds", [2.0, 10.0])
@pytest.mark.parametrize("how", ["taken over", "ended", "deleted"])
def test_heartbeat_stops_a_task_whose_claim_is_lost(setting: Setting, how: str, seconds: float) -> None:
    task_id = setting.active.task.id
    if how == "taken over":
        after_expiry = setting.clock.now() + timedelta(seconds=61)
        setting.store.update(task_id, lambda t: t.claimed_by("worker-b", after_expiry, TTL))
    elif how == "ended":
        setting.store.update(
            task_id, lambda t: t.cancelled_by_holder(setting.active.claim, setting.clock.now())
        )
    else:
        setting.store.delete(task_id, now=setting.clock.now())
    setting.clock.advance(seconds)
    with setting.heartbeat.holding(setting.active):
        setting.heartbeat.beat()
    assert setting.active.stop_reason is StopReason.CLAIM_LOST


def test_heartbeat_renews_a_new_task_with_a_reused_id(setting: Setting) -> None:
    """The old drawing is stopped; the new one, with the same worker and number, continues."""
    setting.store.delete(setting.active.task.id, now=setting.clock.now())
    setting.clock.advance(1)
    successor = setting.claim_new_task()
    with setting.heartbeat.holding(successor):
        with setting.heartbeat.holding(setting.active):
            setting.clock.advance(3)
            setting.heartbeat.beat()
        assert setting.heartbeat.active_tasks == (successor,)
    assert (setting.active.stop_reason, successor.stop_reason) == (StopReason.CLAIM_LOST, None)
    assert setting.stored.claim is not None
    assert setting.stored.claim.expires_at == setting.clock.now() + TTL


def test_heartbeat_retries_when_the_store_is_unavailable(setting: Setting) -> None:
    setting.store.unavailable = True
    setting.clock.advance(11)
    with setting.heartbeat.holding(setting.active):
        setting.heartbeat.beat()
    setting.store.unavailable = False
    assert setting.active.stop_reason is None
    assert not setting.beat_after(1.0)
    assert setting.beat_after(1.1)


def test_claim_expired_in_an_outage_is_kept_when_not_taken_over(setting: Setting) -> None:
    assert setting.beat_after(120)
    assert setting.active.stop_reason is None


def test_heartbeat_does_not_renew_an_ended_attempt(setting: Setting) -> None:
    setting.active.update(lambda t: t.cancelled_by_holder(setting.active.claim, setting.clock.now()))
    assert not setting.beat_after(11)
    assert setting.active.stop_reason is None


def test_early_stop_reaches_the_generation(setting: Setting) -> None:
    setting.active.stop(StopReason.DRAINING)
    generation = attached_generation(setting.active)
    assert (generation.interrupted, generation.wants_checkpoints) == (True, True)


@pytest.mark.parametrize(
    ("reasons", "kept"),
    [
        ([StopReason.CANCELLED, StopReason.DRAINING], StopReason.CANCELLED),
        ([StopReason.CANCELLED, StopReason.CLAIM_LOST], StopReason.CLAIM_LOST),
        ([StopReason.CLAIM_LOST, StopReason.DRAINING], StopReason.CLAIM_LOST),
    ],
)
def test_first_stop_reason_is_kept_unless_the_claim_is_lost(
    setting: Setting, reasons: list[StopReason], kept: StopReason
) -> None:
    for reason in reasons:
        setting.active.stop(reason)
    assert setting.active.stop_reason is kept


def test_wake_triggers_a_beat_and_stop_ends_the_thread(setting: Setting) -> None:
    updated = threading.Event()

    class NotifyingStore(InMemoryTaskStore):
        def update(self, *args: object, **kwargs: object) -> Task:
            updated.set()
            return setting.active.task

    setting.active._store = NotifyingStore()
    with setting.heartbeat.holding(setting.active):
        thread = threading.Thread(target=setting.heartbeat.run)
        thread.start()
        setting.draw_to(1)
        assert updated.wait(60)
        setting.heartbeat.stop()
        thread.join(60)
    assert not thread.is_alive()


def test_seconds_left_follows_the_measured_pace(setting: Setting) -> None:
    tracker = setting.active.tracker
    assert tracker.seconds_left() is None
    setting.draw_to(1)
    assert tracker.seconds_left() is None
    setting.clock.advance(2)
    setting.draw_to(5)
    assert tracker.seconds_left() == pytest.approx(7.5)
    tracker.image_finished(0)
    assert tracker.seconds_left() == 0.0


@pytest.mark.parametrize(
    ("phases", "phase_of_task"),
    [
        ([Phase.WAITING, Phase.WAITING], Phase.WAITING),
        ([Phase.WAITING, Phase.DENOISING], Phase.DENOISING),
        ([Phase.DECODING, Phase.DENOISING], Phase.DENOISING),
        ([Phase.DECODING, Phase.UPLOADING], Phase.DECODING),
        ([Phase.UPLOADING, Phase.UPLOADING], Phase.UPLOADING),
    ],
)
def test_phase_of_several_images_is_the_most_relevant_one(phases: list[Phase], phase_of_task: Phase) -> None:
    tracker = ProgressTracker(images=len(phases), steps=STEPS, clock=FakeClock())
    for index, phase in enumerate(phases):
        tracker.phase_changed(index, phase)
    assert tracker.phase is phase_of_task


def test_progress_has_the_slowest_step_and_the_mean_value() -> None:
    tracker = ProgressTracker(images=2, steps=STEPS, clock=FakeClock())
    tracker.image_finished(0)
    tracker.step_done(1, 5)
    progress = tracker.snapshot().progress
    assert (progress.step, progress.value) == (5, 0.625)


def test_previews_stay_below_the_document_limit(setting: Setting) -> None:
    setting.active.preview_ready(0, 1, b"x" * 400_000)
    assert setting.active.tracker.snapshot().previews == ()
