"""One catalog with a tiny model of each family, on one stack: every image is the stock pipeline's.

Besides the models that work, the catalog has one that cannot be loaded. A task waits for it all the
time and must not affect the others.
"""

import io
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import EulerDiscreteScheduler
from PIL import Image

from common.domain.models.families import PIPELINE_CLASS_OF
from common.domain.parameters import GenerationParameters
from common.domain.provenance import Provenance
from common.domain.task import Task, TaskStatus
from tests.engine_gate import IGNORED_MODEL_VARIABLE, engine_of
from tests.supervision import watched
from tests.system.conftest import IMPATIENT, System, start
from tests.unit.gpu_subscriber.engine.families.family_cases import CASES, Model
from tests.unit.gpu_subscriber.engine.stock_oracle import largest_difference, stock_picture
from tests.unit.gpu_subscriber.engine.tiny_families import saved
from tests.unit.gpu_subscriber.engine.tiny_pipelines import SIDE

pytestmark = pytest.mark.end_to_end

VARIANTS = {"flux": "flux dev", "flux_2_klein": "flux_2_klein base"}
"""The case of a family that has several and none with its name."""
BROKEN = "broken"
SETTINGS = {
    **IMPATIENT,
    # Images are equal bit for bit only if they are computed with as many threads.
    "DARKROOM_CPU_THREADS": "1",
    "DARKROOM_PROGRESS_INTERVAL_SECONDS": "0.1",
    "DARKROOM_DRAIN_DEADLINE_SECONDS": "20",
    # More than the tasks of a test: a held engine makes room for none.
    "DARKROOM_SLOTS": "32",
    IGNORED_MODEL_VARIABLE: BROKEN,
}
CASE_OF = {
    family: case
    for family in PIPELINE_CLASS_OF
    if (case := CASES.get(VARIANTS.get(family, family))) is not None
}
"""The families that generate from a prompt: those that edit pictures have no such case."""
each_family = pytest.mark.parametrize("family", CASE_OF)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Model]]:
    """A loaded model of each family; its name in the catalog is the family's."""
    folder = tmp_path_factory.mktemp("families")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    cases = dict(CASE_OF)
    # An untrained network that predicts noise amplifies rounding from step to step.
    own = EulerDiscreteScheduler(prediction_type="v_prediction")
    cases["stable_diffusion_xl"] = replace(
        cases["stable_diffusion_xl"], save=partial(saved, "sdxl", scheduler=own)
    )
    yield {
        family: Model.loaded(case, case.save(folder / family), name=family) for family, case in cases.items()
    }
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def catalog(models: Mapping[str, Model], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalog of all of them, and of a model whose weights are cut off."""
    whole = models["stable_diffusion"].spec
    source = tmp_path_factory.mktemp("catalog") / BROKEN
    shutil.copytree(whole.source, source)
    for file in source.rglob("*.safetensors"):
        os.truncate(file, 1000)
    broken = whole.model_copy(update={"name": BROKEN, "source": str(source)})
    specs = [*(model.spec for model in models.values()), broken]
    path = source.parent / "models.json"
    entries = [spec.model_dump(mode="json", exclude_none=True) for spec in specs]
    path.write_text(json.dumps({"models": entries}))
    return path


@pytest.fixture(scope="module")
def system(catalog: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with ExitStack() as exits:
        folder = tmp_path_factory.mktemp("stack")
        started = start(exits, folder, model_catalog=catalog, extra_environment=SETTINGS)
        exits.enter_context(watched(started.stack))
        yield started


@pytest.fixture(scope="module", autouse=True)
def doomed_task(system: System) -> str:
    """A task of the model that cannot be loaded."""
    return system.client.submit("a red fox", model=BROKEN)


def submitted(system: System, asked: list[GenerationParameters]) -> list[str]:
    """Submit tasks with these parameters at once; return their ids."""

    def submit(parameters: GenerationParameters) -> str:
        fields = parameters.model_dump(
            mode="json", exclude={"guidance", "guidance_off_at"}, exclude_none=True
        )
        return system.client.submit(fields.pop("prompt"), **fields)

    with ThreadPoolExecutor(len(asked)) as callers:
        return list(callers.map(submit, asked))


def submitted_together(system: System, asked: list[GenerationParameters]) -> list[str]:
    """Submit tasks that have most of their steps in common; return their ids."""
    with system.held_engine():
        return submitted_and_begun(system, asked)


def submitted_and_begun(system: System, asked: list[GenerationParameters]) -> list[str]:
    """Submit tasks to an engine that is held, and wait until each has taken a step."""
    engine = engine_of(system.stack.process("worker-0"))
    engine.suspend()  # the engine must not prepare one task after the other, with steps in between
    try:
        ids = submitted(system, asked)
        for task_id in ids:
            system.client.wait_until(task_id, lambda task: task.status is not TaskStatus.QUEUED)
    finally:
        engine.resume()
    for task_id in ids:
        system.client.wait_until_drawn(task_id)
    return ids


def image_of(system: System, task: Task) -> np.ndarray:
    assert task.status is TaskStatus.COMPLETED, task.failure
    return np.asarray(Image.open(io.BytesIO(system.client.image(task.id))).convert("RGB"))


def provenance_of(task: Task) -> Provenance:
    provenance = task.images[0].provenance
    assert provenance is not None
    return provenance


@each_family
def test_concurrent_tasks_share_steps_and_equal_the_stock_pipeline(
    system: System, models: Mapping[str, Model], family: str
) -> None:
    model = models[family]
    asked = [
        model.asked(
            prompt="a red fox " * (number + 1),
            negative_prompt="blurry" if number % 2 else None,
            seed=1000 * number,
            steps=100 if number == 0 else 20 + 4 * number,
            guidance_scale=2.0 + number,
            sampler=model.spec.samplers[number % len(model.spec.samplers)],
        )
        for number in range(6)
    ]
    ids = submitted_together(system, asked)
    tasks = system.client.wait_for_all(ids)
    for task_id, parameters in zip(ids, asked, strict=True):
        assert max(provenance_of(tasks[task_id]).batches) > 1
        expected = model.drawn_by_stock(parameters).pixels
        assert largest_difference(image_of(system, tasks[task_id]), expected) <= 1


def test_tasks_with_pictures_share_steps_with_text_and_equal_the_stock_pipeline(
    system: System, models: Mapping[str, Model]
) -> None:
    model = models["stable_diffusion"]
    picture, mask = image_of_noise(seed=1), image_of_noise(seed=2).convert("L")
    uploaded = {"image": upload(system, picture), "strength": 0.8}
    text, from_image, with_mask = (model.asked(steps=100, seed=seed) for seed in range(3))
    from_image = from_image.model_copy(update=uploaded)
    with_mask = with_mask.model_copy(update={**uploaded, "mask_image": upload(system, mask)})
    asked: dict[str, tuple[GenerationParameters, dict[str, Image.Image]]] = {
        "text": (text, {}),
        "image": (from_image, {"image": picture}),
        "mask": (with_mask, {"image": picture, "mask_image": mask}),
    }
    ids = submitted_together(system, [parameters for parameters, _ in asked.values()])
    tasks = system.client.wait_for_all(ids)
    for task_id, (parameters, inputs) in zip(ids, asked.values(), strict=True):
        assert max(provenance_of(tasks[task_id]).batches) > 1
        assert tasks[task_id].progress.step == parameters.computed_steps
        expected = stock_picture(model.stock, parameters, inputs=inputs)
        assert largest_difference(image_of(system, tasks[task_id]), expected.pixels) <= 1


def image_of_noise(*, seed: int) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def upload(system: System, image: Image.Image) -> str:
    """Upload a picture; return its id."""
    file = io.BytesIO()
    image.save(file, "PNG")
    answer = system.client.http.post(
        "/v1/inputs", content=file.getvalue(), headers={"Content-Type": "image/png"}
    )
    picture_id: str = answer.raise_for_status().json()["id"]
    return picture_id


def test_cancelled_task_leaves_the_shared_steps_of_another(
    system: System, models: Mapping[str, Model]
) -> None:
    model = models["stable_diffusion"]
    kept, cancelled = (model.asked(steps=steps, seed=steps) for steps in (999, 1000))
    with system.held_engine(steps=10):
        ids = submitted_and_begun(system, [kept, cancelled])
        system.client.http.post(f"/v1/tasks/{ids[1]}/cancel").raise_for_status()
        assert system.client.wait_for_end(ids[1]).status is TaskStatus.CANCELLED
    ended = system.client.wait_for_end(ids[0])
    assert set(provenance_of(ended).batches) == {1, 2}
    expected = model.drawn_by_stock(kept).pixels
    assert largest_difference(image_of(system, ended), expected) <= 1


def test_tasks_resume_bit_equal_when_the_worker_is_stopped_and_killed(
    system: System, models: Mapping[str, Model]
) -> None:
    # A model that is being loaded would let the others finish.
    system.client.wait_for_all(submitted(system, [model.asked(steps=2) for model in models.values()]))
    asked = {family: model.asked(steps=100, seed=5) for family, model in models.items()}
    worker = system.stack.process("worker-0")
    with system.held_engine():
        ids = submitted_and_begun(system, list(asked.values()))
        worker.ask_to_stop()
        for task_id in ids:
            system.client.wait_until(task_id, lambda task: task.attempt > 1)
    worker.kill()
    tasks = system.client.wait_for_all(ids)
    for task_id, (family, parameters) in zip(ids, asked.items(), strict=True):
        provenance = provenance_of(tasks[task_id])
        assert provenance.resumes, family
        assert set(provenance.batches) == {1}
        expected = models[family].drawn_by_stock(parameters).pixels
        assert np.array_equal(image_of(system, tasks[task_id]), expected), family


def test_two_models_alternate_under_load_if_one_fits(
    catalog: Path, models: Mapping[str, Model], tmp_path: Path
) -> None:
    pair = [models["stable_diffusion"], models["flux"]]
    settings = {**SETTINGS, "DARKROOM_LOADED_MODELS": "1", "DARKROOM_MODELS": "stable_diffusion,flux,broken"}
    with ExitStack() as exits:
        system = start(exits, tmp_path, model_catalog=catalog, extra_environment=settings)
        asked = [model.asked(steps=150, seed=seed) for seed in range(3) for model in pair]
        ids = submitted(system, asked)
        tasks = system.client.wait_for_all(ids)
        for task_id, parameters in zip(ids, asked, strict=True):
            expected = models[parameters.model].drawn_by_stock(parameters).pixels
            assert largest_difference(image_of(system, tasks[task_id]), expected) <= 1


def test_unloadable_model_fails_its_own_task_only(system: System, doomed_task: str) -> None:
    failure = system.client.wait_for_end(doomed_task).failure
    assert failure is not None
    # The kills of the worker took some of its attempts.
    assert failure.code in ("model_unavailable", "attempts_exhausted")
