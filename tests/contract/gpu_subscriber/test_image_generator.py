"""The ImageGenerator's contract, on the fake and on the engine client with a real child process behind it."""

import threading
from collections.abc import Iterator

import pytest

from common.domain.task import Phase, Task
from gpu_subscriber.attempt.progress import ProgressTracker
from gpu_subscriber.engine_host.client import EngineClient
from gpu_subscriber.engine_host.process import EngineProcess
from gpu_subscriber.errors import GenerationInterruptedError
from gpu_subscriber.ports import GeneratedImage, ImageGenerator
from tests.factories import parameters, submitted_task
from tests.fakes.fake_clock import FakeClock
from tests.fakes.fake_engine_process import FAKE_ENGINE, FakeEngineSettings
from tests.fakes.scripted_generator import ScriptedGenerator

STEPS = 3


@pytest.fixture(params=["fake", "engine process"])
def generator(request: pytest.FixtureRequest) -> Iterator[ImageGenerator]:
    if request.param == "fake":
        yield ScriptedGenerator()
        return
    client = EngineClient(
        lambda: EngineProcess.spawned(FAKE_ENGINE, FakeEngineSettings()), attempt_timeout_seconds=60
    )
    supervisor = threading.Thread(target=client.run, args=(lambda _ready: None,))
    supervisor.start()
    yield client
    client.stop(within_seconds=60)
    supervisor.join(60)


@pytest.fixture
def tracker() -> ProgressTracker:
    return ProgressTracker(images=2, steps=STEPS, clock=FakeClock())


def task() -> Task:
    return submitted_task(
        parameters=parameters(prompt="draw", num_images=2, steps=STEPS, width=64, height=64)
    )


def test_generation_yields_each_image_once_and_reports_steps(
    generator: ImageGenerator, tracker: ProgressTracker
) -> None:
    generation = generator.start(task(), tracker, {})
    images = [piece for piece in generation if isinstance(piece, GeneratedImage)]
    generation.close()
    assert sorted(image.index for image in images) == [0, 1]
    assert all(len(image.pixels) == image.width * image.height * 3 for image in images)
    assert all(image.draw_conditions.environment.versions for image in images)
    assert [(run.index, run.gpu_seconds) for run in generation.runs] == [
        (image.index, image.gpu_seconds) for image in sorted(images, key=lambda image: image.index)
    ]
    progress = tracker.snapshot().progress
    assert (progress.step, progress.value, progress.phase) == (STEPS, 1.0, Phase.DENOISING)


def test_interrupted_generation_raises(generator: ImageGenerator, tracker: ProgressTracker) -> None:
    generation = generator.start(task(), tracker, {})
    generation.interrupt()
    generation.interrupt(want_checkpoints=True)
    with pytest.raises(GenerationInterruptedError):
        list(generation)
    generation.close()


def test_generation_can_be_closed_early_and_twice(
    generator: ImageGenerator, tracker: ProgressTracker
) -> None:
    generation = generator.start(task(), tracker, {})
    generation.close()
    generation.close()
    assert sum(run.gpu_seconds for run in generation.runs) == 0.0
