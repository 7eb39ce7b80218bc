"""The actions around the list by keyboard alone: the queue panel, older tasks, more images, notifications."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from common.domain.task import Task
from common.domain.task_records import Failure
from tests.browser.keyboard import Keyboard, button, open_page
from tests.browser.page_with_fakes import PageWithFakes, task_document
from tests.browser.test_task_list import completed, update
from tests.factories import claim_of

pytestmark = pytest.mark.browser


def failed(fakes: PageWithFakes, task: Task) -> dict[str, Any]:
    """Let a queued task fail, and return it as the page reads it."""
    claim = claim_of(fakes.api.claim(task))
    failure = Failure(code="out_of_gpu_memory", message="The image does not fit.", retryable=False)
    now = fakes.api.clock.now()
    return task_document(fakes.api.store.update(task.id, lambda t: t.failed(claim, failure, now)))


def test_failed_tasks_are_retried_and_cleared_by_keyboard(still: PageWithFakes) -> None:
    tasks = [still.api.stored_task(task_id=task_id) for task_id in ("first", "second")]
    page, keyboard = open_page(still, *(failed(still, task) for task in tasks))
    named, message = button(page), page.locator("#queue-message")
    question = page.get_by_test_id("confirmation")

    keyboard.press("Tab", "Enter")
    keyboard.reach(page.get_by_test_id("queue-summary"), then="Enter")
    keyboard.reach(named("Retry failed"), then="Enter")
    expect(named("Close")).to_be_focused()
    keyboard.reach(question.get_by_role("button", name="Retry failed"), key="Shift+Tab", then="Enter")
    expect(message).to_have_text("2 queued again.")
    expect(named("Retry failed")).to_be_focused()
    keyboard.press("Enter")
    expect(message).to_have_text("There is no such task.")
    keyboard.expect_stop()

    update(page, *(failed(still, still.api.store.get(task.id)) for task in tasks))
    keyboard.reach(named("Clear finished"), then="Enter")
    expect(named("Keep")).to_be_focused()
    keyboard.reach(named("Delete 2 tasks"), key="Shift+Tab", then="Enter")
    expect(message).to_have_text("2 deleted.")
    update(page)
    expect(named("Clear finished")).to_be_focused()
    keyboard.expect_stop()


def test_older_tasks_and_more_images_are_requested_by_keyboard(still: PageWithFakes) -> None:
    tasks = completed(still, 60)
    older = [still.api.client.get(f"/v1/tasks/{task['id']}").get_json() for task in tasks[50:]]
    answers: Iterator[dict[str, Any]] = iter(
        [
            {"status": 500, "body": "{}"},
            {"json": {"tasks": older[:5], "next_page_token": "rest"}},
            {"json": {"tasks": older[5:], "next_page_token": None}},
        ]
    )
    still.context.route("**/v1/tasks?*", lambda route: route.fulfill(**next(answers)))
    # The images at the end of the list are loaded when they are near.
    page = still.open(tasks=tasks)
    keyboard = Keyboard(page)
    more = page.get_by_test_id("show-more-button")

    # The heights of cards that were never shown are estimates: one scroll may not reach the end.
    page.wait_for_function(
        """more => {
            scrollTo(0, document.body.scrollHeight);
            return more.textContent === "Try again";
        }""",
        arg=more.element_handle(),
    )
    page.locator("[aria-posinset='50']").get_by_test_id("delete-button").focus()
    keyboard.reach(more, then="Enter")
    # The list loads the last tasks by itself, and the focus stays at the first of the older ones.
    expect(more).to_be_hidden()
    expect(page.locator("[aria-posinset='51'] .tile")).to_be_focused()
    keyboard.expect_stop()

    still.context.unroute("**/v1/tasks?*")
    reuse = page.locator("[aria-posinset='51']").get_by_test_id("reuse-button")
    keyboard.reach(reuse, then="Enter")
    keyboard.press("ArrowUp")
    expect(button(page)("4 more like this")).to_be_focused()
    with page.expect_response("**/v1/tasks"):
        keyboard.press("Enter")
    expect(page.locator("#form-message")).to_have_text("More images like this one are queued.")
    expect(reuse).to_be_focused()
    keyboard.expect_stop()


def test_notifications_are_turned_on_and_off_by_keyboard(still: PageWithFakes) -> None:
    still.context.grant_permissions(["notifications"])
    page, keyboard = open_page(still)
    account, notify = page.get_by_test_id("account-button"), page.get_by_test_id("notify")
    keyboard.reach(account, then="Enter")
    keyboard.reach(notify, then="Space")
    expect(notify).to_be_checked()
    expect(notify).to_be_focused()
    keyboard.press("Escape")
    expect(account).to_be_focused()
    page.reload()
    expect(notify).to_be_checked()
    still.context.clear_permissions()
    keyboard.reach(account, then="Enter")
    keyboard.reach(notify, then="Space")
    expect(notify).not_to_be_checked()
    keyboard.press("Space")
    expect(page.locator("#notify-message")).not_to_be_empty()
    expect(notify).not_to_be_checked()
    keyboard.expect_stop()
