"""Dead letters from end to end: a message is dead-lettered, and the operator's command shows and
repairs it.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from google.pubsub_v1.types import DeadLetterPolicy, PubsubMessage, RetryPolicy, Subscription

from common.adapters.grpc_channels import publisher_client
from common.domain.task import TaskStatus
from gpu_subscriber.adapters.pubsub_subscriber import subscriber_client
from tests.chaos.waiting import wait_for
from tests.system.conftest import StartSystem, System

pytestmark = pytest.mark.end_to_end
PROMPT = "a large green triangle on a white background"
DARKROOM = Path(sys.executable).with_name("darkroom")


class Desk:
    """An operator's command line, and the dead letters."""

    def __init__(self, system: System) -> None:
        environment = system.stack.environment
        self._system = system
        self._project = environment["DARKROOM_PROJECT_ID"]
        self._tasks_topic = environment["DARKROOM_TASKS_TOPIC"]
        self._pubsub_host = environment["PUBSUB_EMULATOR_HOST"]

    def darkroom(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the command against this system."""
        assert self._system.stack.page_url is not None
        command = [str(DARKROOM), "dead-letters", *arguments, "--url", self._system.stack.page_url]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    def letters(self) -> list[dict[str, Any]]:
        """Return the letters that the command lists."""
        listed = self.darkroom("list", "--json")
        assert listed.returncode == 0, listed.stderr
        found: list[dict[str, Any]] = json.loads(listed.stdout)
        return found

    def wait_for_letter(self, reason: str) -> None:
        """Block until a letter with this reason is archived."""

        def archived() -> bool:
            page = self._system.client.http.get("/v1/dead-letters").raise_for_status().json()
            return reason in {letter["reason"] for letter in page["dead_letters"]}

        wait_for(archived, f"a dead letter: {reason}", timeout_seconds=120)

    def publish(self, body: bytes) -> None:
        """Publish a message on the tasks' topic, for the demo model's workers."""
        topic = f"projects/{self._project}/topics/{self._tasks_topic}"
        messages = [PubsubMessage(data=body, attributes={"model": "demo"})]
        publisher_client(emulator_host=self._pubsub_host).publish(topic=topic, messages=messages, timeout=60)

    def return_until_the_task_has_failed(self, task_id: str) -> None:
        """Pull the task's message, the only one, and return it, until Pub/Sub dead-letters it."""
        subscriber = subscriber_client(emulator_host=self._pubsub_host)
        name = self._system.stack.environment["DARKROOM_SUBSCRIPTION"]
        path = subscriber.subscription_path(self._project, name)
        policy = subscriber.get_subscription(subscription=path).dead_letter_policy
        quickly = Subscription(
            name=path,
            dead_letter_policy=DeadLetterPolicy(
                dead_letter_topic=policy.dead_letter_topic, max_delivery_attempts=5
            ),
            retry_policy=RetryPolicy(minimum_backoff={"seconds": 0}, maximum_backoff={"seconds": 1}),
        )
        subscriber.update_subscription(
            subscription=quickly, update_mask={"paths": ["dead_letter_policy", "retry_policy"]}
        )
        # The emulator dead-letters the message at the pull that returns nothing.
        while self._system.client.http.get(f"/v1/tasks/{task_id}").json()["status"] == "queued":
            for taken in subscriber.pull(subscription=path, max_messages=1, timeout=30).received_messages:
                subscriber.modify_ack_deadline(
                    subscription=path, ack_ids=[taken.ack_id], ack_deadline_seconds=0
                )


@pytest.fixture
def desk(system: System) -> Desk:
    return Desk(system)


def test_unreadable_message_is_archived_and_purged(desk: Desk) -> None:
    desk.publish(b"\xffnot a task \x1b[31m")
    desk.wait_for_letter("body is not JSON")
    letter = next(one for one in desk.letters() if one["reason"] == "body is not JSON")
    assert (letter["task_id"], letter["subscription"]) == (None, "darkroom-tasks-demo")

    listed = desk.darkroom("list")
    assert letter["id"] in listed.stdout
    assert "unreadable" in listed.stdout

    shown = desk.darkroom("show", letter["id"])
    assert "body is not JSON" in shown.stdout
    assert "\x1b" not in shown.stdout

    refused = desk.darkroom("replay", letter["id"])
    assert refused.returncode == 1
    assert "dead_letter_undecodable" in refused.stderr
    assert "no worker can decode it (body is not JSON)" in refused.stderr
    assert "Trace in the server's logs: " in refused.stderr

    assert desk.darkroom("purge", letter["id"], "--yes").stdout == "Deleted 1 dead letter.\n"
    assert letter["id"] not in {one["id"] for one in desk.letters()}
    gone = desk.darkroom("show", letter["id"])
    assert (gone.returncode, "dead_letter_not_found" in gone.stderr) == (5, True)


def test_dead_lettered_task_completes_after_a_replay(start_system: StartSystem) -> None:
    system = start_system(workers=0)
    client, desk = system.client, Desk(system)
    task_id = client.submit(PROMPT, steps=2)
    desk.return_until_the_task_has_failed(task_id)
    failed = client.wait_for_end(task_id)
    assert failed.failure is not None
    assert (failed.status, failed.failure.code) == (TaskStatus.FAILED, "dead_lettered")

    (letter,) = desk.letters()
    assert (letter["task_id"], letter["delivery_count"]) == (task_id, 5)
    replayed = desk.darkroom("replay", letter["id"])
    assert replayed.stdout == f"{letter['id']}: task {task_id} is queued.\n", replayed.stderr

    system.stack.add_worker()
    drawn = client.wait_for_end(task_id)
    assert (drawn.status, drawn.attempt, drawn.attempts_left) == (TaskStatus.COMPLETED, 1, 3)
    assert [attempt.ending for attempt in drawn.history] == ["completed"]
    assert "(replayed " in desk.darkroom("list").stdout

    assert desk.darkroom("purge", "--older-than", "0s", "--yes").stdout == "Deleted 1 dead letter.\n"
    assert desk.darkroom("list").stdout == "No dead letters.\n"
