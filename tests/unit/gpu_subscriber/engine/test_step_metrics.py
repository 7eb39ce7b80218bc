"""StepMetrics reports the engine's work once a second, and at once when no work is left."""

from gpu_subscriber.engine.batches.step_metrics import StepMetrics
from gpu_subscriber.engine.messages import EngineMeasured


def test_work_is_reported_each_second_and_at_the_end() -> None:
    now = [0.0]
    reports: list[EngineMeasured] = []
    step_metrics = StepMetrics(send=reports.append, clock=lambda: now[0])

    def step(at: float, *, batch: int, seconds: float) -> None:
        now[0] = at
        step_metrics.stepped("demo", batch=batch, seconds=seconds)
        step_metrics.worked(0.3, is_done=False)

    for moment in (0.3, 0.6, 0.9):
        step(moment, batch=4, seconds=0.25)
    assert reports == []
    step(1.2, batch=2, seconds=0.125)
    now[0] = 1.3
    step_metrics.worked(0.1, is_done=True)
    assert [(len(one.steps), round(one.busy_seconds, 3)) for one in reports] == [(4, 1.2), (0, 0.1)]
    assert [(step.batch, step.seconds) for step in reports[0].steps] == [(4, 0.25)] * 3 + [(2, 0.125)]
