"""Commands for tasks that have only some of their images."""

from pathlib import Path
from typing import Any

import pytest

from common.domain.images import StoredImage
from common.domain.task import AttemptOutput, Claim, FailedImage, Task
from darkroom.cli.exit_codes import ExitCode
from terminal import Terminal
from tests.factories import parameters
from tests.unit.frontend_api.conftest import PNG, Api, stored_image

OWNED: dict[str, Any] = {"user_id": "olga"}
FAILED_IMAGE = FailedImage(
    index=1, code="content_filtered", message="The safety checker refused the picture."
)


@pytest.fixture
def task(api: Api) -> Task:
    """A processing task of two images of which the first is finished."""
    claimed = api.claimed_task(**OWNED, parameters=parameters(num_images=2))
    claim, image = claim_of(claimed), image_of(api, claimed)
    output = AttemptOutput(images=(image,))
    ttl = claim.expires_at - api.clock.now()
    return api.store.update(
        claimed.id, lambda found: found.renewed(claim, api.clock.now(), ttl, output=output)
    )


def claim_of(task: Task) -> Claim:
    assert task.claim is not None
    return task.claim


def image_of(api: Api, task: Task) -> StoredImage:
    image = stored_image(task)
    api.images.objects[image.object_name] = PNG
    return image


def test_show_counts_the_finished_images_of_a_processing_task(task: Task, darkroom: Terminal) -> None:
    code, out, _ = darkroom("show", task.id)
    assert code == ExitCode.SUCCESS
    assert ", 1 of 2 images" in out


def test_download_saves_finished_images_of_a_processing_task(
    task: Task, darkroom: Terminal, tmp_path: Path
) -> None:
    code, out, err = darkroom("download", task.id, "--to", str(tmp_path))
    assert (code, err) == (ExitCode.SUCCESS, "")
    assert Path(out.strip()).read_bytes() == PNG


def test_download_saves_finished_images_of_a_cancelled_task(
    api: Api, task: Task, darkroom: Terminal, tmp_path: Path
) -> None:
    api.store.update(task.id, lambda found: found.cancelled_by_holder(claim_of(task), api.clock.now()))
    code, out, _ = darkroom("download", task.id, "--to", str(tmp_path))
    assert code == ExitCode.TASK_CANCELLED
    assert Path(out.strip()).read_bytes() == PNG


def test_download_and_show_name_the_failed_image(
    api: Api, task: Task, darkroom: Terminal, tmp_path: Path
) -> None:
    api.store.update(
        task.id,
        lambda found: found.completed(claim_of(task), (), api.clock.now(), failed_images=(FAILED_IMAGE,)),
    )
    code, out, err = darkroom("download", task.id, "--to", str(tmp_path))
    assert (code, Path(out.strip()).read_bytes()) == (ExitCode.SUCCESS, PNG)
    assert err == "Image 1 failed: The safety checker refused the picture. (content_filtered)\n"
    _, out, _ = darkroom("show", task.id)
    assert "completed, 1 of 2 images" in out
    assert "The safety checker refused the picture. (content_filtered)" in out
    code, out, _ = darkroom("retry", task.id)
    assert (code, api.stored(task.id).missing_images) == (ExitCode.SUCCESS, (1,))
