"""Two versions of darkroom at once: fields that the newer one writes survive the older one."""

import pytest

from tests.chaos.rig import Rig

pytestmark = pytest.mark.chaos


def test_older_worker_preserves_fields_of_a_newer_version(rig: Rig) -> None:
    task_id = rig.submit(steps=20)
    rig.site.documents.write(
        task_id, {"version": "1.9", "mood": {"blue": 0.7}, "usage.credits": 3, "progress.eta_seconds": 4.5}
    )
    rig.start_worker()
    rig.verify()
    document = rig.site.documents.raw(task_id)
    assert document["mood"] == {"blue": 0.7}
    assert document["usage"]["credits"] == 3
    assert document["progress"]["eta_seconds"] == 4.5
