"""The engine client against a real child process that uses the engine's messages and draws nothing."""

import errno
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from common.domain.failures import FailureCode
from common.domain.task import DEFAULT_ATTEMPTS, Failure, Lane, Phase, Task, TaskStatus
from gpu_subscriber.engine.messages import MAX_CHECKPOINT_BYTES, Picture, Start
from gpu_subscriber.engine_host.process import EngineProcess
from gpu_subscriber.engine_host.watchdog import AllowedSilence
from gpu_subscriber.errors import GenerationFailedError, GenerationInterruptedError
from gpu_subscriber.ports import Checkpoint, FailedRun, GeneratedImage, Piece, Settlement
from tests.factories import NOW, draw_conditions, parameters, submitted_task
from tests.fakes.fake_engine_process import FAKE_ENGINE, FakeEngineSettings
from tests.fakes.worker_bench import WorkerBench, delivery_of
from tests.unit.gpu_subscriber.engine_under_test import PATIENCE_SECONDS, EngineUnderTest, Listener


def fake_engine(settings: FakeEngineSettings | None = None, **patience: Any) -> EngineUnderTest:
    chosen = settings or FakeEngineSettings()
    counted = chosen.oom_kills

    def oom_kills() -> int | None:
        return None if counted is None else int(counted.read_text())

    return EngineUnderTest(
        lambda: EngineProcess.spawned(FAKE_ENGINE, chosen, count_oom_kills=oom_kills), **patience
    )


EngineMaker = Callable[..., EngineUnderTest]


@pytest.fixture
def start_engine() -> Iterator[EngineMaker]:
    """Start engines like `fake_engine`, and stop them after the test."""
    with ExitStack() as stack:

        def start(*settings: FakeEngineSettings, **patience: Any) -> EngineUnderTest:
            engine = fake_engine(*settings, **patience)
            stack.callback(engine.stop)
            return engine

        yield start


@pytest.fixture
def engine(start_engine: EngineMaker) -> EngineUnderTest:
    return start_engine()


@pytest.fixture
def callbacks() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor() as pool:
        yield pool


def task(prompt: str, *, task_id: str = "task-1", num_images: int = 1) -> Task:
    wanted = parameters(prompt=prompt, num_images=num_images, steps=3, width=64, height=64)
    return submitted_task(task_id=task_id, parameters=wanted)


def failure_of(engine: EngineUnderTest, failing: Task) -> Failure:
    """Return the failure of a task's generation."""
    with pytest.raises(GenerationFailedError) as raised:
        engine.drawn(failing)
    return raised.value.failure


def assert_next_task_is_drawn(engine: EngineUnderTest) -> None:
    assert len(engine.drawn(task("draw", task_id="task-2"))) == 1


def test_every_image_is_generated_and_its_progress_reported(engine: EngineUnderTest) -> None:
    listener = Listener()
    pieces = engine.drawn(task("draw", num_images=3), listener)
    images = [piece for piece in pieces if isinstance(piece, GeneratedImage)]
    assert sorted(image.index for image in images) == [0, 1, 2]
    assert all(image.draw_conditions == draw_conditions() for image in images)
    assert all(image.pixels == bytes([image.index]) * (64 * 64 * 3) for image in images)
    assert listener.steps.count((2, 3)) == 1
    assert (0, Phase.DENOISING) in listener.phases
    assert listener.previews == [b"jpeg"] * 3


def test_checkpoint_is_sent_with_its_start(engine: EngineUnderTest) -> None:
    resumed = {0: Checkpoint(index=0, step=1, state=b"state")}
    with closing(engine.client.start(task("draw"), Listener(), resumed)) as generation:
        [image] = list(generation)
    assert isinstance(image, GeneratedImage)
    assert image.resumed_at_step == 1


def test_retried_task_does_not_precede_tasks_that_were_queued_before_it(engine: EngineUnderTest) -> None:
    """Otherwise a caller with many old tasks stops those that are half done."""
    cancelled = task("draw").abandoned(Failure(code="x", message="x"), NOW)
    queued, retried = (
        replace(task("draw", task_id="task-2"), queued_at=NOW + timedelta(days=2)),
        cancelled.resubmitted(NOW + timedelta(days=3)),
    )
    starts = [engine.client.start(each, Listener(), {}).open_starts[0] for each in (queued, retried)]
    assert starts[0].queued_at < starts[1].queued_at


def test_generations_with_the_same_id_get_their_own_answers(
    engine: EngineUnderTest, callbacks: ThreadPoolExecutor
) -> None:
    """The id was deleted and submitted again while its first drawing was still being stopped."""
    listener = Listener()
    with (
        closing(engine.client.start(task("wait"), listener, {})) as old,
        closing(engine.client.start(task("draw"), Listener(), {})) as new,
    ):
        waiting = callbacks.submit(list, old)
        assert listener.drawing.wait(PATIENCE_SECONDS)
        assert len(list(new)) == 1
        old.interrupt()
        with pytest.raises(GenerationInterruptedError):
            waiting.result(PATIENCE_SECONDS)
    assert [run.gpu_seconds for run in (*old.runs, *new.runs)] == [0.25, 1.0]


def test_failed_run_fails_only_its_image(engine: EngineUnderTest) -> None:
    with closing(engine.client.start(task("fail", num_images=2), Listener(), {})) as generation:
        failed = [piece for piece in generation if isinstance(piece, FailedRun)]
    assert {(piece.index, piece.failure.code) for piece in failed} == {
        (0, "out_of_gpu_memory"),
        (1, "out_of_gpu_memory"),
    }
    assert [run.gpu_seconds for run in generation.runs] == [0.5, 0.5]
    assert_next_task_is_drawn(engine)
    assert engine.client.ready is not None


def test_interrupted_generation_yields_checkpoints_first(
    engine: EngineUnderTest, callbacks: ThreadPoolExecutor
) -> None:
    listener, pieces = Listener(), []
    generation = engine.client.start(task("wait", num_images=2), listener, {})

    def draw() -> None:
        for piece in generation:
            pieces.append(piece)

    waiting = callbacks.submit(draw)
    assert listener.drawing.wait(PATIENCE_SECONDS)
    generation.interrupt(want_checkpoints=True)
    with pytest.raises(GenerationInterruptedError):
        waiting.result(PATIENCE_SECONDS)
    generation.close()
    assert {(piece.index, piece.state) for piece in pieces if isinstance(piece, Checkpoint)} == {
        (0, b"state"),
        (1, b"state"),
    }
    assert [run.gpu_seconds for run in generation.runs] == [0.25, 0.25]


def test_interrupt_before_iteration_is_applied(engine: EngineUnderTest) -> None:
    with closing(engine.client.start(task("wait"), Listener(), {})) as generation:
        generation.interrupt()
        with pytest.raises(GenerationInterruptedError):
            list(generation)


def test_only_task_of_a_crashed_engine_fails(engine: EngineUnderTest) -> None:
    failure = failure_of(engine, task("die"))
    assert (failure.code, failure.retryable) == ("engine_crashed", True)
    assert_next_task_is_drawn(engine)  # by a new child


@pytest.mark.parametrize(
    ("prompt", "code", "end", "cause"),
    [
        ("SIGSEGV", "engine_crashed", "SIGSEGV", "killed"),
        ("SIGKILL", "engine_crashed", "SIGKILL", "killed"),
        ("eaten", "engine_out_of_memory", "SIGKILL", "out_of_memory"),
        ("exit 70", "device_lost", "exit code 70", "device_lost"),
        ("exit 72", "engine_crashed", "exit code 72", "broken"),
    ],
)
def test_engine_exit_is_reported_to_the_task_and_the_log(
    start_engine: EngineMaker, tmp_path: Path, prompt: str, code: str, end: str, cause: str
) -> None:
    oom_kills = tmp_path / "oom_kills"
    oom_kills.write_text("3")
    engine = start_engine(FakeEngineSettings(oom_kills=oom_kills))
    with capture_logs() as lines:
        failure = failure_of(engine, task(prompt))
        for _ in range(2):  # the next one is ready, so the end was logged
            assert engine.lives.acquire(timeout=PATIENCE_SECONDS)
    assert (failure.code, failure.retryable) == (code, True)
    [line] = [line for line in lines if line["event"] == "engine_ended"]
    logged = (line["end"], line["cause"], line["drawing"], line["caused_crash"])
    assert logged == (end, cause, ["task-1"], True)


def test_engine_death_is_detected_when_its_pipe_stays_open(start_engine: EngineMaker) -> None:
    engine = start_engine(attempt_timeout_seconds=PATIENCE_SECONDS)
    assert failure_of(engine, task("heir")).code == "engine_crashed"
    assert_next_task_is_drawn(engine)


def test_only_the_culprit_of_a_crashed_engine_fails(
    engine: EngineUnderTest, callbacks: ThreadPoolExecutor
) -> None:
    listeners = [Listener(), Listener()]
    innocents: list[Future[list[Piece]]] = [
        callbacks.submit(engine.drawn, task("wait once", task_id=f"innocent-{number}"), listener)
        for number, listener in enumerate(listeners)
    ]
    assert all(listener.drawing.wait(PATIENCE_SECONDS) for listener in listeners)

    assert failure_of(engine, task("die", task_id="culprit")).code == "engine_crashed"
    assert all(len(innocent.result(PATIENCE_SECONDS)) == 1 for innocent in innocents)
    assert len(engine.drawn(task("draw", task_id="later"))) == 1


def test_task_that_ended_an_engine_runs_alone_in_its_next_attempt(
    engine: EngineUnderTest, callbacks: ThreadPoolExecutor
) -> None:
    listener = Listener()
    with closing(engine.client.start(task("wait once"), listener, {})) as neighbour:
        waiting = callbacks.submit(list, neighbour)
        assert listener.drawing.wait(PATIENCE_SECONDS)
        culprit = replace(
            task("die", task_id="culprit"), failure=FailureCode.ENGINE_CRASHED.failure("SIGKILL")
        )
        with capture_logs() as lines:
            dying = callbacks.submit(failure_of, engine, culprit)
            with pytest.raises(TimeoutError):
                dying.result(1.0)
            neighbour.interrupt()
            with pytest.raises(GenerationInterruptedError):
                waiting.result(PATIENCE_SECONDS)
            assert dying.result(PATIENCE_SECONDS).code == "engine_crashed"
    assert [line["drawing"] for line in lines if line["event"] == "engine_ended"] == [["culprit"]]
    assert_next_task_is_drawn(engine)


def test_task_that_runs_alone_delays_no_other_while_its_image_is_stored(start_engine: EngineMaker) -> None:
    engine = start_engine(attempt_timeout_seconds=5.0)
    suspect = replace(task("draw"), failure=FailureCode.ENGINE_CRASHED.failure("SIGKILL"))
    with closing(engine.client.start(suspect, Listener(), {})) as generation:
        assert isinstance(next(iter(generation)), GeneratedImage)
        assert_next_task_is_drawn(engine)


def test_task_of_a_crashed_engine_delays_no_other_while_its_image_is_stored(
    start_engine: EngineMaker,
) -> None:
    engine = start_engine(attempt_timeout_seconds=5.0)
    with closing(engine.client.start(task("wait", task_id="storing"), Listener(), {})) as storing:
        engine.client.admit(storing, timeout_seconds=PATIENCE_SECONDS)  # its thread waits for the bucket
        assert failure_of(engine, task("die", task_id="culprit")).code == "engine_crashed"
        assert_next_task_is_drawn(engine)


def test_images_of_a_task_share_its_pictures_in_the_engine(engine: EngineUnderTest) -> None:
    """Each picture has up to 50 MB, and a task up to 64 images."""
    inputs = {"image": Picture(width=64, height=64, pixels=bytes(3 * 64 * 64))}
    wanted = task("share", num_images=3)
    with closing(engine.client.start(wanted, Listener(), {}, inputs)) as generation:
        images = [piece for piece in generation if isinstance(piece, GeneratedImage)]
    assert [image.resumed_at_step for image in images] == [0, 1, 2]


def test_unresponsive_engine_is_killed_and_replaced(start_engine: EngineMaker) -> None:
    engine = start_engine(attempt_timeout_seconds=2.0, interrupt_grace_seconds=0.5)
    assert engine.lives.acquire(timeout=PATIENCE_SECONDS)
    assert failure_of(engine, task("deaf")).code == "attempt_timed_out"
    assert engine.lives.acquire(timeout=PATIENCE_SECONDS)


IMPATIENT = AllowedSilence(generation_seconds=3.0, loading_seconds=PATIENCE_SECONDS)


@pytest.mark.parametrize("prompt", ["stuck", "mumble"])
def test_hung_engine_is_killed_and_its_only_task_fails(start_engine: EngineMaker, prompt: str) -> None:
    engine = start_engine(allowed_silence=IMPATIENT, attempt_timeout_seconds=PATIENCE_SECONDS)
    failure = failure_of(engine, task(prompt))
    assert (failure.code, failure.retryable) == ("engine_hung", True)
    assert_next_task_is_drawn(engine)


def test_only_the_culprit_of_a_hung_engine_fails(
    start_engine: EngineMaker, callbacks: ThreadPoolExecutor
) -> None:
    engine, listener = start_engine(allowed_silence=IMPATIENT), Listener()
    innocent = callbacks.submit(engine.drawn, task("wait once", task_id="innocent"), listener)
    assert listener.drawing.wait(PATIENCE_SECONDS)
    assert failure_of(engine, task("stuck", task_id="culprit")).code == "engine_hung"
    assert len(innocent.result(PATIENCE_SECONDS)) == 1


def test_dismissed_task_that_hangs_the_engine_does_not_blame_others(
    start_engine: EngineMaker, callbacks: ThreadPoolExecutor
) -> None:
    engine, listener = start_engine(allowed_silence=IMPATIENT), Listener()
    left = engine.client.start(task("stuck", task_id="left"), listener, {})
    leaving = callbacks.submit(lambda: list(left))
    assert listener.drawing.wait(PATIENCE_SECONDS)
    left.close()
    assert_next_task_is_drawn(engine)
    left.interrupt()
    with pytest.raises(GenerationInterruptedError):
        leaving.result(PATIENCE_SECONDS)


def test_silent_starting_engine_is_killed_and_abandoned() -> None:
    silent = FakeEngineSettings(never_says_anything=True)
    allowed = AllowedSilence(generation_seconds=0.2, loading_seconds=0.5)
    engine = fake_engine(silent, allowed_silence=allowed)
    engine.supervisor.join(PATIENCE_SECONDS)
    assert not engine.supervisor.is_alive()


def test_idle_engine_may_be_silent(start_engine: EngineMaker) -> None:
    engine = start_engine(allowed_silence=AllowedSilence(generation_seconds=0.02))
    assert engine.lives.acquire(timeout=PATIENCE_SECONDS)
    assert not engine.lives.acquire(timeout=0.5)  # a second start would follow a crash
    assert engine.client.ready is not None


def test_timed_out_attempt_is_interrupted_and_the_engine_stays(start_engine: EngineMaker) -> None:
    engine = start_engine(attempt_timeout_seconds=2.0)
    assert engine.lives.acquire(timeout=PATIENCE_SECONDS)
    before = engine.client.ready
    assert failure_of(engine, task("wait")).code == "attempt_timed_out"
    assert engine.client.ready is before


def test_task_whose_time_others_took_is_handed_back_with_its_checkpoint(
    start_engine: EngineMaker, callbacks: ThreadPoolExecutor
) -> None:
    """Images of other sizes get equal shares of the device: its own may be a twentieth."""
    engine, listener = start_engine(attempt_timeout_seconds=2.0), Listener()
    with (
        closing(engine.client.start(task("wait"), listener, {})) as first,
        closing(engine.client.start(task("wait", task_id="task-2"), Listener(), {})) as second,
    ):
        waiting = callbacks.submit(next, iter(first))
        assert listener.drawing.wait(PATIENCE_SECONDS)
        for ended in (next(iter(second)), waiting.result(PATIENCE_SECONDS)):
            assert ended == Checkpoint(index=0, step=1, state=b"state")
    assert_next_task_is_drawn(engine)


def test_image_without_checkpoints_uses_its_attempts_beside_others(start_engine: EngineMaker) -> None:
    """It starts over each time: with its attempts given back, it would never end."""
    engine, bench = start_engine(attempt_timeout_seconds=0.5), WorkerBench()
    assert engine.lives.acquire(timeout=PATIENCE_SECONDS)
    process = bench.worker(generator=engine.client)
    slow = bench.store.create(task("whole", task_id="slow"))
    with closing(engine.client.start(task("wait", task_id="neighbour"), Listener(), {})) as neighbour:
        engine.client.admit(neighbour, timeout_seconds=PATIENCE_SECONDS)
        settlements = [process(delivery_of(slow)) for _ in range(DEFAULT_ATTEMPTS)]
    ended = bench.store.get("slow")
    assert [past.ending for past in ended.history] == ["attempt_timed_out"] * DEFAULT_ATTEMPTS
    assert (ended.status, settlements[-1]) == (TaskStatus.FAILED, Settlement.ACKNOWLEDGE)


def test_task_that_waits_too_long_is_handed_back(start_engine: EngineMaker) -> None:
    engine = start_engine(attempt_timeout_seconds=2.0)
    assert engine.lives.acquire(timeout=PATIENCE_SECONDS)
    with pytest.raises(GenerationInterruptedError):
        engine.drawn(task("behind"))
    assert_next_task_is_drawn(engine)
    assert not engine.lives.acquire(blocking=False)


def test_engine_starts_once_the_system_can_start_processes() -> None:
    errors = [BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")] * 2

    def spawn() -> EngineProcess:
        if errors:
            raise errors.pop()
        return EngineProcess.spawned(FAKE_ENGINE, FakeEngineSettings())

    engine = EngineUnderTest(spawn)
    try:
        assert_next_task_is_drawn(engine)
    finally:
        engine.stop()


def test_client_gives_up_when_the_engine_never_starts() -> None:
    engine = fake_engine(FakeEngineSettings(never_ready=True), attempt_timeout_seconds=0.1)
    engine.supervisor.join(PATIENCE_SECONDS)
    assert not engine.supervisor.is_alive()
    with pytest.raises(GenerationInterruptedError):  # the task is not at fault: it is returned to the queue
        engine.drawn(task("draw"))


def test_close_does_not_wait_for_a_hung_engine(callbacks: ThreadPoolExecutor) -> None:
    """Otherwise one checkpoint in flight would delay other tasks' interruptions, and the drain."""
    child = EngineProcess.spawned(FAKE_ENGINE, FakeEngineSettings(never_says_anything=True))
    start = Start(
        run_id="1",
        parameters=parameters(),
        index=0,
        lane=Lane.INTERACTIVE,
        queued_at=0.0,
        checkpoint=bytes(MAX_CHECKPOINT_BYTES),
    )
    try:
        callbacks.submit(child.send, start).result(PATIENCE_SECONDS)
    finally:
        child.kill()
        assert child.ended(within_seconds=PATIENCE_SECONDS).name == "SIGKILL"


def test_stop_ends_the_engine() -> None:
    engine = fake_engine(attempt_timeout_seconds=1.0)
    assert engine.lives.acquire(timeout=PATIENCE_SECONDS)
    engine.stop()
    assert not engine.supervisor.is_alive()
    assert engine.client.ready is None
