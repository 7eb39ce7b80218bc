"""Questions before deletions, about tasks that change elsewhere."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.page_with_fakes import PageWithFakes, task_document
from tests.browser.test_many_tasks import ids, select
from tests.browser.test_task_list import completed, update
from tests.factories import parameters

pytestmark = pytest.mark.browser


def open_below_the_live_tasks(fakes: PageWithFakes, *names: str) -> Page:
    """Open the page and search these cancelled tasks, which are older than those that arrive live."""
    for name in names:
        fakes.api.stored_task(task_id=name, parameters=parameters(prompt=f"an older {name}"))
        fakes.api.client.post(f"/v1/tasks/{name}/cancel")
    fakes.api.clock.advance(1)
    live = completed(fakes, 50)
    page = fakes.open(tasks=[*live, *(task_document(fakes.api.stored(name)) for name in names)])
    page.get_by_test_id("search-text").fill("older")
    expect(page.get_by_test_id("task-card")).to_have_count(len(names))
    return page


def retry_elsewhere(fakes: PageWithFakes, name: str) -> None:
    assert fakes.api.client.post(f"/v1/tasks/{name}/retry").status_code == 202
    fakes.api.complete(fakes.api.claim(fakes.api.stored(name)))


def test_deletion_is_asked_again_when_a_selected_task_has_finished(fakes: PageWithFakes) -> None:
    waiting = task_document(fakes.api.stored_task(task_id="one"))
    page = fakes.open(tasks=[waiting])
    select(page.get_by_test_id("task-card")).press(" ")
    bar, question = page.get_by_test_id("selection-bar"), page.get_by_test_id("confirmation")
    bar.get_by_role("button", name="Delete").press("Enter")
    expect(question).to_contain_text("No image is deleted with them.")
    update(page, task_document(fakes.api.complete(fakes.api.claim(fakes.api.stored("one")))))
    question.get_by_role("button", name="Delete 1 task").press("Enter")
    expect(question).to_contain_text("1 image is deleted with them.")
    assert ids(fakes) == {"one"}
    question.get_by_role("button", name="Delete 1 task").press("Enter")
    expect(bar).to_contain_text("1 deleted.")
    assert ids(fakes) == set()


def test_deletion_of_older_tasks_is_asked_about_images_of_retries(fakes: PageWithFakes) -> None:
    page = open_below_the_live_tasks(fakes, "first", "second", "deleted")
    page.get_by_test_id("select-mode").click()
    bar, question = page.get_by_test_id("selection-bar"), page.get_by_test_id("confirmation")
    bar.get_by_role("button", name="Select all shown").click()
    expect(bar).to_contain_text("3 tasks, 0 images")
    retry_elsewhere(fakes, "first")
    fakes.api.client.delete("/v1/tasks/deleted")
    bar.get_by_role("button", name="Delete").press("Enter")
    expect(question).to_contain_text("1 image is deleted with them.")
    expect(bar).to_contain_text("2 tasks, 1 image")
    retry_elsewhere(fakes, "second")
    question.get_by_role("button", name="Delete 2 tasks").press("Enter")
    expect(question).to_contain_text("2 images are deleted with them.")
    assert {"first", "second"} <= ids(fakes)
    question.get_by_role("button", name="Delete 2 tasks").press("Enter")
    expect(bar).to_contain_text("2 deleted.")
    assert ids(fakes).isdisjoint({"first", "second"})


def test_card_of_an_older_task_asks_about_images_of_a_retry(fakes: PageWithFakes) -> None:
    page = open_below_the_live_tasks(fakes, "retried", "queued", "unchanged")
    retry_elsewhere(fakes, "retried")
    fakes.api.client.post("/v1/tasks/queued/retry")
    card = {name: page.locator(f"[data-task-id={name}]") for name in ("retried", "queued", "unchanged")}
    card["queued"].get_by_test_id("delete-button").press("Enter")
    expect(card["queued"]).to_have_attribute("data-status", "queued")
    card["unchanged"].get_by_test_id("delete-button").press("Enter")
    expect(card["unchanged"]).to_have_count(0)
    delete = card["retried"].get_by_test_id("delete-button")
    delete.press("Enter")
    expect(delete).to_have_text("Delete?")
    expect(card["retried"]).to_have_attribute("data-status", "completed")
    assert {"retried", "queued"} <= ids(fakes)
    assert "unchanged" not in ids(fakes)
    delete.press("Enter")
    expect(card["retried"]).to_have_count(0)
    assert "retried" not in ids(fakes)


def test_nothing_is_deleted_that_could_not_be_read_again(fakes: PageWithFakes) -> None:
    page = open_below_the_live_tasks(fakes, "cancelled")
    fakes.context.route("**/v1/tasks?status=*", lambda route: route.abort())
    card, bar = page.get_by_test_id("task-card"), page.get_by_test_id("selection-bar")
    card.get_by_test_id("delete-button").press("Enter")
    expect(card.locator(".task__message")).to_contain_text("The service is unreachable")
    select(card).press(" ")
    bar.get_by_role("button", name="Delete").press("Enter")
    expect(bar).to_contain_text("Nothing was deleted.")
    expect(page.get_by_test_id("confirmation")).to_have_count(0)
    assert "cancelled" in ids(fakes)
