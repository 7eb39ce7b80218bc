"""The rescue policy: rules that no request of the API reaches."""

from dataclasses import replace
from datetime import timedelta

from common.domain.task import Task
from frontend_api.rescue.policy import RescuePolicy, Verdict
from tests.factories import NOW, submitted_task

LATER = NOW + timedelta(minutes=2)


def test_policy_ignores_a_pending_event_when_the_task_was_retried() -> None:
    """The previous version retries a task without clearing a field that it does not know."""
    finished = replace(submitted_task().cancelled(NOW), event_pending_since=NOW)
    retried = replace(finished.resubmitted(NOW).enqueued(NOW), event_pending_since=NOW)
    policy = RescuePolicy()

    def verdict_on(task: Task) -> Verdict:
        return policy.decide(task, now=LATER, messages_lost_before=NOW)

    assert verdict_on(finished) is Verdict.EVENT_UNPUBLISHED
    assert verdict_on(retried) is Verdict.NO_ACTION
