"""Predictions for a task: the rules, the calibration by earlier ones, and the answers to callers."""

import random
from dataclasses import replace
from datetime import timedelta
from statistics import fmean
from typing import Any

import pytest

from common.domain.models.lora import LoraChoice
from common.domain.parameters import GenerationParameters
from common.domain.task import Lane, Phase, Progress
from common.domain.worker_report import (
    ModelTimes,
    PredictionSample,
    SizeTimes,
    StepFactors,
    WorkerReport,
)
from frontend_api.estimates.calibration import Calibration
from frontend_api.estimates.estimate import (
    DrawTime,
    draw_time_of,
    position_behind,
    position_of_newest,
    predicted_seconds,
    predicted_seconds_left,
)
from frontend_api.estimates.workload import Workload
from frontend_api.stats.backlog import Backlog, Work
from frontend_api.usage.usage import GpuPrice
from tests.factories import NOW, parameters, submitted_task, worker_report
from tests.unit.frontend_api.conftest import Api

PARAMETERS = parameters(steps=20, width=256, height=256)
PASS_PIXELS = 256 * 256 * 2
SIZE = SizeTimes(
    pass_pixels=PASS_PIXELS,
    step_seconds=0.05,
    alone_step_seconds=0.1,
    preparing_seconds=0.02,
    decoding_seconds=0.08,
    images=9,
)
GPU_SECONDS, ALONE_SECONDS = 0.1 + 20 * 0.05, 0.1 + 20 * 0.1


def worker(name: str = "w", *sizes: SizeTimes, per_unit: float = 1.0, **changes: Any) -> WorkerReport:
    times = ModelTimes(model="demo", gpu_seconds_per_unit=per_unit, sizes=sizes or (SIZE,))
    return worker_report(name, **{"times": (times,), "handling_seconds": 0.25, **changes})


def workload(
    *workers: WorkerReport,
    queued: dict[Lane, Work] | None = None,
    processing: dict[Lane, Work] | None = None,
) -> Workload:
    backlog = Backlog(queued=queued or {}, processing=processing or {})
    return Workload(as_of=NOW, measured={"demo": backlog}, workers=workers or (worker(),))


def drawn_in(found: Workload, asked: GenerationParameters) -> DrawTime:
    draw_time = draw_time_of(found, asked)
    assert draw_time is not None
    return draw_time


# ── time for drawing ─────────────────────────────────────────────────────────────────────────────────────────


def test_draw_time_follows_the_measured_size() -> None:
    draw_time = drawn_in(workload(), PARAMETERS)
    assert (draw_time.gpu_seconds, draw_time.alone_seconds) == pytest.approx((GPU_SECONDS, ALONE_SECONDS))


def test_further_images_share_their_steps_with_the_first() -> None:
    draw_time = drawn_in(workload(), PARAMETERS.model_copy(update={"num_images": 3}))
    assert draw_time.gpu_seconds == pytest.approx(3 * GPU_SECONDS)
    assert draw_time.alone_seconds == pytest.approx(ALONE_SECONDS + 2 * GPU_SECONDS)


def test_draw_time_is_scaled_from_the_most_similar_size() -> None:
    small = replace(SIZE, pass_pixels=PASS_PIXELS // 16, step_seconds=0.01, alone_step_seconds=None)
    draw_time = drawn_in(workload(worker("w", small, SIZE)), parameters(steps=20, width=512, height=512))
    assert draw_time.gpu_seconds == pytest.approx(0.02 + 4 * (20 * 0.05 + 0.08))


def test_draw_time_is_the_median_of_the_workers() -> None:
    slow = replace(SIZE, step_seconds=50.0)
    draw_time = drawn_in(workload(worker("a"), worker("b"), worker("c", slow)), PARAMETERS)
    assert draw_time.gpu_seconds == pytest.approx(GPU_SECONDS)


def test_draw_time_counts_loras_and_control_networks() -> None:
    times = ModelTimes(
        model="demo",
        gpu_seconds_per_unit=1.0,
        sizes=(SIZE,),
        factors=StepFactors(loras=1.5, control=2.0),
    )
    measured = workload(replace(worker(), times=(times,)))
    for changes, factor in (
        ({}, 1.0),
        ({"loras": (LoraChoice(name="a", scale=0.0),)}, 1.0),
        ({"loras": (LoraChoice(name="a", scale=0.5),)}, 1.5),
        ({"controlnet": "edges"}, 2.0),
        ({"controlnet": "edges", "loras": (LoraChoice(name="a", scale=1.0),)}, 3.0),
    ):
        asked = PARAMETERS.model_copy(update=changes)
        expected = GPU_SECONDS + (factor - 1) * asked.steps * SIZE.step_seconds
        assert drawn_in(measured, asked).gpu_seconds == pytest.approx(expected)


def test_draw_time_is_unknown_without_measurements() -> None:
    assert draw_time_of(workload(worker_report()), PARAMETERS) is None


# ── waiting time ─────────────────────────────────────────────────────────────────────────────────────────────


def test_wait_is_zero_when_a_worker_is_free() -> None:
    busy = workload(worker("a"), worker("b"), processing={Lane.INTERACTIVE: Work(tasks=1, units=5.0)})
    assert position_of_newest(busy, "demo", Lane.INTERACTIVE, NOW).wait_seconds == 0.0


def test_wait_counts_queued_and_half_of_held_work_shared_by_workers() -> None:
    queued = {Lane.INTERACTIVE: Work(tasks=6, units=12.0)}
    drawn = {Lane.INTERACTIVE: Work(tasks=2, units=4.0)}
    shared = workload(worker("a"), worker("b"), queued=queued, processing=drawn)
    position = position_of_newest(shared, "demo", Lane.INTERACTIVE, NOW)
    assert (position.tasks_ahead, position.wait_seconds) == pytest.approx((6, (12.0 + 2.0) / 2))


def test_elapsed_time_reduces_measured_work_but_not_arrivals() -> None:
    later = workload(queued={Lane.INTERACTIVE: Work(tasks=3, units=3.0)})
    for _ in range(2):
        later = later.with_task(submitted_task())
    arrived = 2 * submitted_task().parameters.work_units
    for passed, left in ((0, 3.0), (2, 1.0), (60, 0.0)):
        position = position_of_newest(later, "demo", Lane.INTERACTIVE, NOW + timedelta(seconds=passed))
        assert position.wait_seconds == pytest.approx(left + arrived)


def test_position_in_a_long_backlog_follows_the_elapsed_time() -> None:
    long = workload(worker("a"), worker("b"), queued={Lane.BATCH: Work(tasks=2_000, units=1_000.0)})
    long = long.with_task(submitted_task())
    for passed, ahead in ((0.0, 2_001), (1.0, 2_001), (5.0, 1_981), (9_999.0, 1)):
        position = position_of_newest(long, "demo", Lane.BATCH, NOW + timedelta(seconds=passed))
        assert position.tasks_ahead == ahead
    without_workers = Workload(as_of=NOW, measured=long.measured, workers=())
    position = position_of_newest(without_workers, "demo", Lane.BATCH, NOW + timedelta(seconds=5))
    assert position.tasks_ahead == 2_000


def test_models_on_one_worker_wait_for_each_other() -> None:
    both = worker("w", models=("demo", "other"))
    other = replace(both.times[0], model="other", gpu_seconds_per_unit=3.0)
    shared = Workload(
        as_of=NOW,
        measured={"demo": Backlog(), "other": Backlog(queued={Lane.BATCH: Work(tasks=2, units=2.0)})},
        workers=(replace(both, times=(*both.times, other)),),
    )
    position = position_of_newest(shared, "demo", Lane.BATCH, NOW)
    assert (position.tasks_ahead, position.wait_seconds) == pytest.approx((0, 6.0))


def test_interactive_task_overtakes_the_batch_tasks_held_with_it() -> None:
    queued = {Lane.BATCH: Work(tasks=20, units=20.0)}
    ahead = workload(worker("w", deliveries=5), queued=queued)
    assert position_of_newest(ahead, "demo", Lane.BATCH, NOW).wait_seconds == pytest.approx(20.0)
    assert position_of_newest(ahead, "demo", Lane.INTERACTIVE, NOW).wait_seconds == pytest.approx(15.0)
    few = workload(worker("w", deliveries=5), queued={Lane.BATCH: Work(tasks=3, units=3.0)})
    assert position_of_newest(few, "demo", Lane.INTERACTIVE, NOW).wait_seconds == pytest.approx(0.0)


def test_wait_counts_only_the_tasks_ahead() -> None:
    queued = {Lane.INTERACTIVE: Work(tasks=10, units=20.0)}
    position = position_behind(workload(queued=queued), "demo", Lane.INTERACTIVE, NOW, tasks_ahead=4)
    assert (position.tasks_ahead, position.wait_seconds) == pytest.approx((4, 8.0))
    assert position.wait_seconds_at(NOW + timedelta(seconds=3)) == pytest.approx(5.0)
    assert position.wait_seconds_at(NOW + timedelta(seconds=30)) == 0.0


def test_prediction_adds_wait_drawing_and_handling() -> None:
    here = workload()
    draw_time = drawn_in(here, PARAMETERS)
    assert predicted_seconds(here, draw_time, wait_seconds=7.0) == pytest.approx(7.0 + ALONE_SECONDS + 0.25)


def test_prediction_of_a_held_task_counts_the_rest() -> None:
    held = submitted_task().claimed_by("w", NOW, timedelta(seconds=60))
    here = workload(processing={Lane.INTERACTIVE: Work(tasks=1, units=held.parameters.work_units)})
    draw_time = drawn_in(here, held.parameters)
    drawn = replace(held, progress=Progress(phase=Phase.DENOISING, step=15, steps=20, value=0.75))
    assert predicted_seconds_left(here, draw_time, drawn) == pytest.approx(draw_time.alone_seconds / 4 + 0.25)
    assert predicted_seconds_left(here, draw_time, held) > draw_time.alone_seconds + 0.25


# ── calibration by completions ───────────────────────────────────────────────────────────────────────────────


def cases(count: int, *, about: float, error: float, spread: float, seed: int = 1) -> list[PredictionSample]:
    """Return predictions up to twice as long or short, each wrong by `error` and by chance."""
    noise = random.Random(seed)
    predicted = [about * 2 ** noise.uniform(-1, 1) for _ in range(count)]
    took = [seconds * error * noise.lognormvariate(0, spread) for seconds in predicted]
    return [
        PredictionSample(predicted_seconds=p, took_seconds=t) for p, t in zip(predicted, took, strict=True)
    ]


@pytest.mark.parametrize("error", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("spread", [0.1, 0.6])
def test_calibration_covers_p50_and_p90_when_predictions_are_wrong(error: float, spread: float) -> None:
    workers = [cases(100, about=5.0, error=error, spread=spread, seed=seed) for seed in range(10, 20)]
    calibration = Calibration.of(workers)
    later = cases(2_000, about=5.0, error=error, spread=spread, seed=2)
    results = [(case.took_seconds, calibration.eta(case.predicted_seconds)) for case in later]
    assert fmean(took <= eta.p50_seconds for took, eta in results) == pytest.approx(0.5, abs=0.05)
    assert fmean(took <= eta.p90_seconds for took, eta in results) == pytest.approx(0.9, abs=0.04)


@pytest.mark.parametrize("seed", range(4))
def test_calibration_covers_p90_when_neighbouring_tasks_are_late_together(seed: int) -> None:
    chance = random.Random(seed)
    past: list[PredictionSample] = []
    in_time: list[bool] = []
    for _ in range(300):
        eta = Calibration.of([past[-120:]]).eta(1.0)
        together = chance.lognormvariate(0, 0.4)
        wave = [together * chance.lognormvariate(0, 0.1) for _ in range(6)]
        if len(past) >= 120:
            in_time += [took <= eta.p90_seconds for took in wave]
        past += [PredictionSample(predicted_seconds=1.0, took_seconds=took) for took in wave]
    assert fmean(in_time) > 0.86


def test_calibration_separates_short_and_long_predictions() -> None:
    short, long = cases(100, about=0.5, error=4.0, spread=0.1), cases(100, about=50.0, error=1.0, spread=0.1)
    calibration = Calibration.of([short, long])
    assert calibration.eta(0.5).p50_seconds == pytest.approx(2.0, rel=0.1)
    assert calibration.eta(60.0).p50_seconds == pytest.approx(60.0, rel=0.1)


def test_eta_of_a_long_task_ignores_the_overhead_ratio_of_tiny_ones() -> None:
    tiny = cases(50, about=0.2, error=5.0, spread=0.1)
    assert Calibration.of([tiny]).eta(0.2).p50_seconds == pytest.approx(1.0, rel=0.2)
    assert Calibration.of([tiny]).eta(20.0).p50_seconds == pytest.approx(21.0, rel=0.1)
    few_long = cases(8, about=20.0, error=1.1, spread=0.05)
    assert Calibration.of([tiny, few_long]).eta(20.0).p50_seconds == pytest.approx(22.0, rel=0.1)


def test_eta_of_a_long_task_keeps_the_error_ratio_of_tasks_above_a_second() -> None:
    slow = cases(50, about=5.0, error=3.0, spread=0.1)
    assert Calibration.of([slow]).eta(40.0).p50_seconds == pytest.approx(120.0, rel=0.1)


def test_calibration_weighs_recent_tasks_most() -> None:
    slow, fast = cases(60, about=5.0, error=3.0, spread=0.1), cases(60, about=5.0, error=1.0, spread=0.1)
    assert Calibration.of([slow + fast]).eta(5.0).p50_seconds == pytest.approx(5.0, rel=0.2)
    assert Calibration.of([fast + slow]).eta(5.0).p50_seconds == pytest.approx(15.0, rel=0.2)


def test_calibration_without_samples_stays_close_to_the_prediction() -> None:
    eta = Calibration.of(()).eta(10.0)
    assert 10.0 <= eta.p50_seconds < 12.0 < 15.0 <= eta.p90_seconds


# ── answers to callers ───────────────────────────────────────────────────────────────────────────────────────


def read(api: Api, task_id: str) -> Any:
    return api.client.get(f"/v1/tasks/{task_id}").get_json()


def with_worker(api: Api, **changes: Any) -> None:
    api.reports.publish(worker("w", alive_until=api.clock.now() + timedelta(minutes=10), **changes))


def test_each_task_of_a_burst_gets_its_own_position_and_eta(api: Api) -> None:
    with_worker(api)
    results = [api.submit().get_json() for _ in range(4)]
    assert [task["queue_position"] for task in results] == [0, 1, 2, 3]
    etas = [task["eta"]["p50_seconds"] for task in results]
    assert etas == sorted(set(etas))
    assert all(task["eta"]["p90_seconds"] > task["eta"]["p50_seconds"] for task in results)
    stored = [api.stored(task["id"]).predicted_seconds or 0.0 for task in results]
    assert stored == sorted(set(stored))
    calls = [api.stats.calls[name] for name in ("active", "backlog", "queued_before")]
    assert calls == [1, 0, 0]  # one measurement was enough for all of them


def test_each_task_in_an_idle_system_is_first(api: Api) -> None:
    with_worker(api)
    etas = []
    for _ in range(8):
        task = api.submit().get_json()
        assert task["queue_position"] == 0
        etas.append(task["eta"]["p50_seconds"])
        api.clock.advance(0.2)
        api.complete(api.claim(api.stored(task["id"])))
    assert etas == etas[:1] * 8
    assert estimated(api).get_json()["queue_position"] == 0


def test_each_task_of_a_batch_gets_its_own_position_and_eta(api: Api) -> None:
    with_worker(api)
    answer = api.client.post("/v1/tasks:batch", json={"tasks": [{"prompt": "a red circle"}] * 3}).get_json()
    assert [result["task"]["queue_position"] for result in answer["results"]] == [0, 1, 2]
    assert api.submit().get_json()["queue_position"] == 3


def test_queued_task_moves_up_and_is_counted_once_a_second(api: Api) -> None:
    with_worker(api)
    first = api.submit().get_json()["id"]
    api.clock.advance(0.1)
    second = api.submit().get_json()["id"]
    api.clock.advance(1)
    assert [read(api, second)["queue_position"] for _ in range(5)] == [1] * 5
    assert api.stats.calls["queued_before"] == 1
    api.claim(api.stored(first))
    api.clock.advance(1)
    assert read(api, second)["queue_position"] == 0
    assert read(api, first)["queue_position"] == 0  # the worker holds it, and has not started
    assert read(api, first)["eta"]["p50_seconds"] > 0


def test_replay_returns_the_position_of_the_first_request(api: Api) -> None:
    with_worker(api)
    headers = {"Idempotency-Key": "order-1815"}
    body = {"prompt": "a large red circle"}
    api.client.post("/v1/tasks", json=body, headers=headers)
    api.clock.advance(1)
    api.submit()
    assert api.client.post("/v1/tasks", json=body, headers=headers).get_json()["queue_position"] == 0


def test_finished_task_has_no_estimate(api: Api) -> None:
    with_worker(api)
    task = api.completed_task()
    results = read(api, task.id)
    assert (results["queue_position"], results["eta"]) == (None, None)


def test_lists_contain_no_estimates(api: Api) -> None:
    with_worker(api)
    api.submit()
    (task,) = api.client.get("/v1/tasks").get_json()["tasks"]
    assert (task["queue_position"], task["eta"]) == (None, None)


def test_position_is_known_and_eta_is_null_without_a_worker(api: Api) -> None:
    task = api.submit().get_json()
    assert (task["queue_position"], task["eta"]) == (0, None)
    assert api.stored(task["id"]).predicted_seconds is None


def test_submission_is_accepted_when_no_estimate_is_possible(api: Api) -> None:
    api.reports.unavailable = True
    accepted = api.submit()
    assert accepted.status_code == 202
    assert (accepted.get_json()["queue_position"], accepted.get_json()["eta"]) == (None, None)
    assert read(api, accepted.get_json()["id"])["status"] == "queued"


def test_task_states_whether_a_live_worker_serves_its_model(api: Api) -> None:
    waiting = api.submit().get_json()
    assert waiting["model_served"] is False
    with_worker(api)
    api.clock.advance(16)
    served = api.submit().get_json()
    assert served["model_served"] is True
    api.claim(api.stored(served["id"]))
    assert read(api, served["id"])["model_served"] is True
    assert api.client.get("/v1/tasks").get_json()["tasks"][0]["model_served"] is None


def test_batch_states_for_each_task_whether_its_model_is_served(api: Api) -> None:
    answer = api.client.post("/v1/tasks:batch", json={"tasks": [{"prompt": "a red circle"}] * 2}).get_json()
    assert [result["task"]["model_served"] for result in answer["results"]] == [False, False]


def test_served_is_null_without_a_measurement(api: Api) -> None:
    api.reports.unavailable = True
    assert api.submit().get_json()["model_served"] is None
    assert api.client.get("/v1/models").get_json()["models"][0]["served"] is None


def test_submission_reads_no_worker_report_of_its_own(api: Api) -> None:
    api.submit()
    read = api.reports.reads
    for _ in range(5):
        assert api.submit().get_json()["model_served"] is False
    assert api.reports.reads == read


def test_etag_does_not_change_with_the_workers(api: Api) -> None:
    task_id = api.submit().get_json()["id"]
    before = api.client.get(f"/v1/tasks/{task_id}")
    with_worker(api)
    api.clock.advance(16)
    after = api.client.get(f"/v1/tasks/{task_id}")
    assert (before.get_json()["model_served"], after.get_json()["model_served"]) == (False, True)
    assert before.headers["ETag"] == after.headers["ETag"]


def test_models_and_queue_list_the_served_models(api: Api) -> None:
    unserved = api.client.get("/v1/models").get_json()["models"][0]
    assert (unserved["served"], unserved["workers"]) == (False, 0)
    assert api.client.get("/v1/queue").get_json()["unserved_models"] == ["demo"]
    with_worker(api)
    api.clock.advance(16)
    served = api.client.get("/v1/models/demo").get_json()
    assert (served["served"], served["workers"]) == (True, 1)
    assert api.client.get("/v1/queue").get_json()["unserved_models"] == []


def estimated(api: Api, **body: Any) -> Any:
    return api.client.post("/v1/tasks:estimate", json={"prompt": "a large red circle", **body})


def test_estimate_stores_nothing_and_equals_that_of_a_submission(api: Api) -> None:
    with_worker(api)
    api.submit()
    stored = len(api.store.all_tasks)
    estimate, results = estimated(api, steps=30).get_json(), api.submit(steps=30).get_json()
    assert len(api.store.all_tasks) == stored + 1
    assert (estimate["feasible"], estimate["reason"], estimate["model"]) == (True, None, "demo")
    assert (estimate["queue_position"], estimate["eta"]) == (results["queue_position"], results["eta"])
    assert estimate["gpu_seconds"] == pytest.approx(0.1 + 30 * 0.05, abs=0.001)
    assert (estimate["price"], estimate["currency"]) == (None, None)


def test_estimate_is_infeasible_when_no_worker_serves_the_model(api: Api) -> None:
    with_worker(api, models=("another",))
    estimate = estimated(api).get_json()
    assert (estimate["feasible"], estimate["eta"]) == (False, None)
    assert estimate["reason"] == "no live worker serves the model 'demo'"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"steps": 5_000}, "parameters_rejected"),
        ({"model": "dream"}, "unknown_model"),
        ({"callback_url": "http://10.0.0.1/"}, "parameters_rejected"),
        ({"user_id": "bob"}, "parameters_rejected"),
    ],
)
def test_estimate_refuses_what_a_submission_refuses(api: Api, body: dict[str, Any], code: str) -> None:
    refused, submitted = estimated(api, **body), api.submit(**body)
    assert (refused.status_code, refused.get_json()["code"]) == (422, code)
    assert refused.get_json()["errors"] == submitted.get_json()["errors"]


def test_estimate_is_unavailable_when_the_queue_cannot_be_measured(api: Api) -> None:
    api.stats.unavailable = True
    refused = estimated(api)
    assert (refused.status_code, refused.get_json()["code"]) == (503, "dependency_unavailable")


def test_models_state_their_number_of_workers(api: Api) -> None:
    with_worker(api)
    assert [model["workers"] for model in api.client.get("/v1/models").get_json()["models"]] == [1]
    api.clock.advance(601)
    assert api.client.get("/v1/models/demo").get_json()["workers"] == 0
    api.reports.unavailable = True
    api.clock.advance(20)
    assert api.client.get("/v1/models/demo").get_json()["workers"] is None


def test_estimate_and_task_state_the_price(api: Api, tmp_path: Any) -> None:
    priced = Api(folder=tmp_path, gpu_price=GpuPrice(per_second=0.5, currency="EUR"))
    with_worker(priced)
    estimate = estimated(priced).get_json()
    assert (estimate["price"], estimate["currency"]) == (pytest.approx(0.5 * estimate["gpu_seconds"]), "EUR")
    queued, done = priced.stored_task(task_id="queued"), priced.completed_task(task_id="done")
    assert read(priced, queued.id)["cost"] == {"price": None, "currency": "EUR"}
    usage = replace(done.usage, gpu_seconds=3.0, wasted_gpu_seconds=8.0)
    priced.store.update(done.id, lambda task: replace(task, usage=usage))
    assert read(priced, done.id)["cost"] == {"price": 1.5, "currency": "EUR"}
    assert read(api, api.stored_task(task_id="free").id)["cost"] is None
