"""Warnings in the running system: API and worker agree, and the file omits parameters without
effect.
"""

import pytest

from darkroom import Client, TaskStatus, read_image_record
from tests.system.conftest import System

pytestmark = pytest.mark.end_to_end
ODD_WORDS = "quixotic xylophone wyvern zeppelin oak"


def test_worker_confirms_the_warnings_of_the_submission(system: System) -> None:
    with Client(system.stack.page_url) as client:
        limit = client.model("demo").max_prompt_tokens
        for shape in ("red circle", "blue square"):
            prompt = f"{ODD_WORDS} a large {shape}"
            estimate = client.estimate(prompt, steps=2)
            task = client.submit(prompt, steps=2, seed=7)
            assert task.warnings == estimate.warnings
            assert [(warning.code, warning.pointer) for warning in task.warnings] == [
                ("prompt_truncated", "/prompt")
            ]
            assert f"the model reads {limit}" in task.warnings[0].detail
            ended = client.wait(task, timeout_seconds=120)
            assert (ended.status, ended.warnings) == (TaskStatus.COMPLETED, task.warnings)


def test_file_states_no_negative_prompt_without_guidance(system: System) -> None:
    with Client(system.stack.page_url) as client:
        task = client.submit("a large red circle", negative_prompt="a blue square", guidance_scale=1, steps=2)
        assert [warning.code for warning in task.warnings] == ["negative_prompt_without_effect"]
        (image,) = client.images(client.wait(task, timeout_seconds=120))
        assert read_image_record(image.content).parameters.negative_prompt is None
