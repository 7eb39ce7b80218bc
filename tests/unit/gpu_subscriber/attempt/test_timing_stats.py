"""A worker's measured times, and its reports of them."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from common.domain.models.catalog import DEMO_MODEL
from common.domain.models.lora import LoraChoice
from common.domain.parameters import GenerationParameters
from common.domain.task import Task, Usage
from common.domain.worker_report import PredictionSample, StepFactors, WorkerReport
from gpu_subscriber.attempt.timing_stats import TimingStats
from gpu_subscriber.engine.messages import EngineReady, RunTimes, WarmUpTimes
from gpu_subscriber.worker.reporter import Reporter
from tests.factories import NOW, parameters, submitted_task
from tests.fakes.fake_clock import FakeClock
from tests.fakes.in_memory_worker_reports import InMemoryWorkerReports
from tests.fakes.worker_bench import WorkerBench, delivery_of

ASKED = parameters(steps=20, width=256, height=256)
PIXELS = 256 * 256 * 2
OWN_SIZES = DEMO_MODEL.model_copy(update={"family": "sana"})
SMALL = parameters(steps=1, width=64, height=64)


def times(*, step: float = 0.05, shared_by: float = 1.0, steps: int = 20, **changes: Any) -> RunTimes:
    fields: dict[str, Any] = {
        "preparing_seconds": 0.01,
        "stepping_seconds": step * steps,
        "decoding_seconds": 0.1,
        "steps": steps,
        "shared_by": shared_by,
        **changes,
    }
    return RunTimes(**fields)


def generated(measured: TimingStats, asked: GenerationParameters, times: RunTimes | None) -> None:
    measured.image_generated(submitted_task(parameters=asked), times)


@pytest.fixture
def measured() -> TimingStats:
    return TimingStats()


def completed(*, took: float, predicted: float | None = None, inference: float = 1.0) -> Task:
    task = submitted_task(predicted_seconds=predicted).claimed_by("w", NOW, timedelta(seconds=60))
    assert task.claim is not None
    usage = Usage(inference_seconds=inference, gpu_seconds=inference)
    return replace(task.completed(task.claim, (), NOW + timedelta(seconds=took)), usage=usage)


def test_outlier_does_not_change_the_median(measured: TimingStats) -> None:
    for step in (0.05, 0.06, 5.0):
        generated(measured, ASKED, times(step=step))
    (demo,) = measured.models
    (size,) = demo.sizes
    assert (demo.model, size.pass_pixels, size.images) == ("demo", PIXELS, 3)
    assert size.step_seconds == pytest.approx(0.06)


def test_shared_steps_are_measured_separately(measured: TimingStats) -> None:
    generated(measured, ASKED, times(step=0.02, shared_by=3.8))
    (shared,) = measured.models[0].sizes
    assert shared.alone_step_seconds is None
    generated(measured, ASKED, times(step=0.05, shared_by=1.0))
    generated(measured, ASKED, times(step=0.02, shared_by=4.0))
    (both,) = measured.models[0].sizes
    assert (both.step_seconds, both.alone_step_seconds) == pytest.approx((0.02, 0.05))


def test_sizes_are_measured_separately(measured: TimingStats) -> None:
    generated(measured, ASKED, times(step=0.05))
    generated(measured, ASKED.model_copy(update={"guidance_scale": 1.0}), times(step=0.03))
    generated(measured, ASKED.model_copy(update={"width": 512, "height": 512}), times(step=0.3))
    found = [(size.pass_pixels, round(size.step_seconds, 3)) for size in measured.models[0].sizes]
    assert found == [(PIXELS // 2, 0.03), (PIXELS, 0.05), (4 * PIXELS, 0.3)]


def test_report_has_a_bounded_number_of_sizes(measured: TimingStats) -> None:
    for exponent in range(6, 30):
        odd = ASKED.model_copy(update={"width": 2**exponent, "height": 8})
        generated(measured, odd, times())
    sizes = measured.models[0].sizes
    assert len(sizes) == 16
    assert sizes[-1].pass_pixels == 2**29 * 16


def test_unit_time_is_measured_over_all_sizes(measured: TimingStats) -> None:
    generated(measured, ASKED, times())
    large = ASKED.model_copy(update={"width": 512, "height": 512, "num_images": 3})
    generated(measured, large, times(step=0.3))
    seconds = (0.01 + 20 * 0.05 + 0.1) + (0.01 + 20 * 0.3 + 0.1)
    assert measured.models[0].gpu_seconds_per_unit == pytest.approx(
        seconds / (ASKED.work_units + large.work_units / 3)
    )


def test_resumed_image_counts_as_a_whole_one(measured: TimingStats) -> None:
    generated(measured, ASKED, times(steps=5))
    whole = 0.01 + 20 * 0.05 + 0.1
    assert measured.models[0].gpu_seconds_per_unit == pytest.approx(whole / ASKED.work_units)


def test_image_without_steps_is_not_measured(measured: TimingStats) -> None:
    generated(measured, ASKED, times(steps=0))
    generated(measured, ASKED, None)
    assert measured.models == ()


def test_warm_up_times_apply_until_an_image_is_generated(measured: TimingStats) -> None:
    measured.warmed_up(WarmUpTimes.of(ASKED, times=times(step=0.08, steps=1)))
    (size,) = measured.models[0].sizes
    assert (size.images, size.step_seconds, size.alone_step_seconds) == (0, 0.08, 0.08)
    assert measured.models[0].gpu_seconds_per_unit == pytest.approx(1.71 / ASKED.work_units)
    generated(measured, ASKED, times(step=0.02, shared_by=4.0))
    (size,) = measured.models[0].sizes
    assert (size.images, size.step_seconds, size.alone_step_seconds) == pytest.approx((1, 0.02, 0.08))
    assert measured.models[0].gpu_seconds_per_unit == pytest.approx(0.51 / ASKED.work_units)


def test_small_images_do_not_change_the_unit_time_of_usual_ones(measured: TimingStats) -> None:
    """The quotas of all callers count in it."""
    measured.warmed_up(WarmUpTimes.of(ASKED, times=times(steps=1)))
    generated(measured, ASKED, times())
    usual = measured.models[0].gpu_seconds_per_unit
    for _ in range(100):
        generated(measured, SMALL, times(steps=1))
    assert measured.models[0].gpu_seconds_per_unit == usual
    generated(measured, ASKED.model_copy(update={"steps": 4}), times(step=0.05, steps=4))
    assert measured.models[0].gpu_seconds_per_unit > usual


def test_small_images_determine_the_unit_time_where_all_are_small(measured: TimingStats) -> None:
    measured.warmed_up(WarmUpTimes.of(ASKED, times=times(steps=1)))
    for _ in range(60):
        generated(measured, SMALL, times(steps=1))
    seconds = (0.01 + 20 * 0.05 + 0.1) + 60 * (0.01 + 0.05 + 0.1)
    assert measured.models[0].gpu_seconds_per_unit == pytest.approx(
        seconds / (ASKED.work_units + 60 * SMALL.work_units)
    )


@pytest.mark.parametrize("side", [128, 512])
def test_size_does_not_change_the_unit_time_of_a_model_with_own_sizes(
    measured: TimingStats, side: int
) -> None:
    """All its images take the same time. The quotas of all callers count in the unit time."""
    usual = OWN_SIZES.defaulted(prompt="a", seed=1)
    asked = OWN_SIZES.completed({"prompt": "a", "width": side, "height": side}, seed=1)
    measured.warmed_up(WarmUpTimes.of(usual, times=times()))
    before = measured.models[0].gpu_seconds_per_unit
    for _ in range(60):
        task = submitted_task(parameters=asked, work_units=OWN_SIZES.work_units_of(asked))
        measured.image_generated(task, times(steps=usual.steps))
    assert measured.models[0].gpu_seconds_per_unit == pytest.approx(before)


def test_steps_with_loras_are_measured_as_plain_ones(measured: TimingStats) -> None:
    factors = StepFactors(loras=1.25, control=2.0)
    measured.warmed_up(WarmUpTimes.of(ASKED, times(step=0.08, steps=1), factors))
    with_loras = ASKED.model_copy(update={"loras": (LoraChoice(name="a", scale=1.0),)})
    generated(measured, with_loras, times(step=0.1))
    (model,) = measured.models
    assert model.factors == factors
    assert model.sizes[0].step_seconds == pytest.approx(0.08)
    whole = 0.01 + 20 * 0.1 + 0.1
    assert model.gpu_seconds_per_unit == pytest.approx(whole / with_loras.work_units)


def test_prediction_is_kept_beside_the_actual_time(measured: TimingStats) -> None:
    measured.task_ended(completed(took=4.5, predicted=4.0, inference=3.0), generation_seconds=2.75)
    assert measured.predictions == (PredictionSample(predicted_seconds=4.0, took_seconds=4.5),)
    assert measured.handling_seconds == pytest.approx(0.25)


def test_unpredicted_task_adds_no_sample(measured: TimingStats) -> None:
    measured.task_ended(completed(took=1.0), generation_seconds=1.0)
    measured.task_ended(replace(completed(took=9.0, predicted=1.0), attempt=2), generation_seconds=1.0)
    measured.task_ended(submitted_task(predicted_seconds=1.0).cancelled(NOW), generation_seconds=1.0)
    assert measured.predictions == ()


def test_samples_are_bounded(measured: TimingStats) -> None:
    for number in range(250):
        measured.task_ended(completed(took=number, predicted=1.0), generation_seconds=0.0)
    assert [task.took_seconds for task in measured.predictions] == list(range(130, 250))


def test_finished_task_adds_a_sample() -> None:
    bench = WorkerBench()
    bench.worker()(delivery_of(bench.submit(predicted_seconds=1.5)))
    assert [task.predicted_seconds for task in bench.timing_stats.predictions] == [1.5]
    assert bench.timing_stats.handling_seconds is not None


class ReportsAfterAnOutage(InMemoryWorkerReports):
    """Unreachable at first; calls `on_arrival` after the first successful report."""

    unavailable_for = 2

    def publish(self, report: WorkerReport) -> None:
        self.unavailable = self.unavailable_for > 0
        self.unavailable_for -= 1
        super().publish(report)
        self.on_arrival()

    def on_arrival(self) -> None: ...


def test_reporter_continues_after_an_outage_of_the_store() -> None:
    reports = ReportsAfterAnOutage()
    reporting = Reporter(
        worker_id="worker-a",
        reports=reports,
        timing_stats=TimingStats(),
        clock=FakeClock(),
        interval_seconds=0.001,
    )
    reports.on_arrival = reporting.stop  # type: ignore[method-assign]
    ready = EngineReady(models=("demo",), device="fake", dtype="none", slots=1, versions={})
    reporting.engine_ready(ready, deliveries=2)
    reporting.run()
    assert [report.is_alive(report.reported_at) for report in reports.published] == [True, False]
