"""The queue panel: the waiting and running tasks, and actions for all of them."""

import pytest
from playwright.sync_api import Page, Route, expect

from common.domain.task import TaskStatus
from common.domain.task_records import Failure
from tests.browser.conftest import show
from tests.browser.page_with_fakes import PageWithFakes, task_document
from tests.browser.test_many_tasks import ids
from tests.browser.test_task_list import update

pytestmark = pytest.mark.browser


def status_of(fakes: PageWithFakes, task_id: str) -> str:
    return fakes.api.store.get(task_id).status.value


def test_queue_panel_cancels_all_and_clears_finished_after_a_question(fakes: PageWithFakes) -> None:
    kept = fakes.completed_task("done", prompt="a finished picture")
    waiting = [task_document(fakes.api.stored_task(task_id=f"waiting-{number}")) for number in range(3)]
    page = fakes.open(tasks=[*waiting, kept])
    summary, message = page.get_by_test_id("queue-summary"), page.locator("#queue-message")
    expect(summary).to_contain_text("3 queued")
    summary.press("Enter")
    expect(page.get_by_test_id("queue-list").locator("li")).to_have_count(3)
    show(page, "queue-panel")

    page.get_by_role("button", name="Cancel all").press("Enter")
    question = page.get_by_test_id("confirmation")
    expect(question).to_contain_text("Cancel 3 tasks?")
    page.keyboard.press("Escape")
    expect(question).to_have_count(0)
    expect(page.get_by_role("button", name="Cancel all")).to_be_focused()
    assert status_of(fakes, "waiting-0") == "queued"
    page.keyboard.press("Enter")
    question.get_by_role("button", name="Cancel all").press("Enter")
    expect(message).to_have_text("3 cancelled.")
    assert {status_of(fakes, task["id"]) for task in waiting} == {TaskStatus.CANCELLED.value}

    update(page, kept)
    expect(summary).to_have_text("Nothing queued")
    page.get_by_role("button", name="Clear finished").press("Enter")
    expect(question).to_contain_text("0 failed and 3 cancelled tasks without images are deleted")
    show(page, "clear-finished")
    question.get_by_role("button", name="Delete 3 tasks").press("Enter")
    expect(message).to_have_text("3 deleted.")
    assert ids(fakes) == {"done"}


def test_clear_finished_keeps_a_task_that_was_retried_meanwhile(fakes: PageWithFakes) -> None:
    for name in ("retried", "cancelled"):
        fakes.api.stored_task(task_id=name)
        fakes.api.client.post(f"/v1/tasks/{name}/cancel")
    page = fakes.open()
    page.get_by_test_id("queue-summary").press("Enter")
    page.get_by_role("button", name="Clear finished").press("Enter")
    question = page.get_by_test_id("confirmation")
    expect(question).to_contain_text("No image is deleted")
    assert fakes.api.client.post("/v1/tasks/retried/retry").status_code == 202
    fakes.api.complete(fakes.api.claim(fakes.api.stored("retried")))
    question.get_by_role("button", name="Delete 2 tasks").press("Enter")
    expect(page.locator("#queue-message")).to_have_text("1 deleted.")
    assert ids(fakes) == {"retried"}


def change_before_the_list(fakes: PageWithFakes, status: str, name: str) -> None:
    """Change a task so that it is in the list of `status`, which the page reads after another one."""

    def change(route: Route) -> None:
        if status_of(fakes, name) == "queued":
            fakes.api.claim(fakes.api.stored(name))
        elif status_of(fakes, name) == "failed":
            fakes.api.client.post(f"/v1/tasks/{name}/retry")
            fakes.api.client.post(f"/v1/tasks/{name}/cancel")
        route.fallback()

    fakes.context.route(f"**/v1/tasks?status={status}*", change)


def change_all(page: Page, action: str, *, asks: str, answer: str) -> None:
    """Open the panel, press the button of an action, and answer its question."""
    page.get_by_test_id("queue-summary").press("Enter")
    page.get_by_role("button", name=action).press("Enter")
    question = page.get_by_test_id("confirmation")
    expect(question).to_contain_text(asks)
    question.get_by_role("button", name=answer).press("Enter")


def test_cancel_all_includes_a_task_once_that_is_claimed_between_two_lists(fakes: PageWithFakes) -> None:
    for name in ("waiting", "claimed"):
        fakes.api.stored_task(task_id=name)
    change_before_the_list(fakes, "processing", "claimed")
    page = fakes.open()
    change_all(page, "Cancel all", asks="Cancel 2 tasks?", answer="Cancel all")
    expect(page.locator("#queue-message")).to_have_text("2 cancelled.")
    assert status_of(fakes, "waiting") == "cancelled"
    assert fakes.api.stored("claimed").cancel_requested_at is not None


def test_clear_finished_includes_a_task_once_that_is_cancelled_between_two_lists(
    fakes: PageWithFakes,
) -> None:
    failure = Failure(code="unclaimed", message="No worker claimed the task.", retryable=True)
    for name in ("failed", "cancelled"):
        fakes.api.stored_task(task_id=name)
        fakes.api.store.update(name, lambda task: task.abandoned(failure, fakes.api.clock.now()))
    change_before_the_list(fakes, "cancelled", "cancelled")
    page = fakes.open()
    text = "1 failed and 1 cancelled tasks without images are deleted"
    change_all(page, "Clear finished", asks=text, answer="Delete 2 tasks")
    expect(page.locator("#queue-message")).to_have_text("2 deleted.")
    assert ids(fakes) == set()


def test_queue_panel_lists_50_of_500_tasks(fakes: PageWithFakes) -> None:
    newest = task_document(fakes.api.stored_task(task_id="newest"))
    older = [
        {**newest, "id": f"older-{number}", "createdAt": newest["createdAt"] - number}
        for number in range(1, 500)
    ]
    page = fakes.open(tasks=[newest, *older])
    page.get_by_test_id("queue-summary").press("Enter")
    expect(page.get_by_test_id("queue-summary")).to_contain_text("500 queued")
    expect(page.locator("#queue-rest")).to_have_text("and 450 more")
    rows = page.get_by_test_id("queue-list").locator("li")
    expect(rows).to_have_count(50)
    # The oldest are the next to be generated.
    expect(rows.first).to_have_attribute("data-task-id", "older-499")
