"""The API is killed during a submission. Every stored task is rescued and generated once."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import httpx
import pytest

from common.domain.task import Task
from tests.chaos.rig import Rig
from tests.chaos.waiting import wait_for

pytestmark = pytest.mark.chaos


@pytest.mark.parametrize(
    "published", [False, True], ids=["before the publish", "before the confirmation is stored"]
)
def test_task_survives_a_killed_api(rig: Rig, published: bool) -> None:
    worker = rig.start_worker()
    prompt = f"a circle whose API died, published: {published}"
    reached = rig.site.api_links.pubsub.hold(prompt.encode(), arrives=published)
    with ThreadPoolExecutor(1) as pool, suppress(httpx.TransportError):
        submission = pool.submit(rig.try_submit, prompt)
        assert reached.wait(60)
        if published:
            wait_for(lambda: any(worker.log_lines("attempt_finished")), "the published task to be generated")
        rig.site.stack.process("api").kill()
        rig.site.api_links.reset()
        submission.result()
    rig.site.stack.restart("api")
    # The caller received no 202, but the stored task must finish like an accepted one.
    [task] = stored_tasks_with(rig, prompt)
    rig.expect(task.id)
    assert rig.verify()[task.id].attempt == 1


def stored_tasks_with(rig: Rig, prompt: str) -> list[Task]:
    page = rig.client.http.get("/v1/tasks", params={"page_size": 20}).raise_for_status().json()
    ids = [task["id"] for task in page["tasks"] if task["parameters"]["prompt"] == prompt]
    return list(rig.site.documents.of(ids).values())
