"""The form of the page: what it sends, and the controls that help to fill it."""

import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import show
from tests.browser.page_with_fakes import PageWithFakes, task_document
from tests.factories import worker_report

pytestmark = pytest.mark.browser


def ready_form(fakes: PageWithFakes, tasks: Sequence[dict[str, Any]] = ()) -> Page:
    page = fakes.open(tasks=tasks)
    expect(page.get_by_test_id("submit-button")).to_be_enabled()
    return page


def press_generate(page: Page, *, clicks: int = 1) -> None:
    """Press the button, and wait until the form accepts the next press."""
    button = page.get_by_test_id("submit-button")
    with page.expect_response("**/v1/tasks"):
        button.click(click_count=clicks)
    expect(button).not_to_have_attribute("aria-disabled", "true")


def test_held_shortcut_and_double_click_submit_once_each(fakes: PageWithFakes) -> None:
    page = ready_form(fakes)
    prompt = page.get_by_test_id("prompt-input")
    prompt.fill("held")
    page.keyboard.down("Control")
    with page.expect_response("**/v1/tasks"):
        page.keyboard.down("Enter")
    expect(page.locator("#form-message")).to_contain_text("Task queued.")
    for _ in range(3):
        page.keyboard.down("Enter")  # repeated, because the key is still down
    page.keyboard.up("Enter")
    page.keyboard.up("Control")
    prompt.fill("double")
    press_generate(page, clicks=2)
    # The second click of a double click, after the first one has been answered.
    page.get_by_test_id("submit-button").dispatch_event("click", {"detail": 2})
    prompt.fill("last")
    press_generate(page)
    assert [body["prompt"] for body in fakes.submissions()] == ["held", "double", "last"]


def test_form_sends_what_its_controls_show(fakes: PageWithFakes) -> None:
    page = ready_form(fakes)
    expect(page.locator("#submit-hint")).to_have_text("Ctrl ↵")
    page.route(
        "**/v1/tasks:estimate",
        lambda route: route.fulfill(
            json={"eta": {"p50_seconds": 12.0}, "price": 0.002, "currency": "USD", "warnings": []}
        ),
    )
    prompt = page.get_by_test_id("prompt-input")
    prompt.fill("עיגול אדום גדול")
    assert prompt.evaluate("field => getComputedStyle(field).direction") == "rtl"
    prompt.fill("two\nlines")
    expect(page.get_by_test_id("prompt-count")).to_contain_text("9 characters · about 2 of")
    expect(page.get_by_test_id("estimate")).to_have_text("About 12 s · 0.0020 USD")
    page.get_by_role("radio", name="2 images").check()
    page.get_by_role("radio", name="16:9").check()
    page.get_by_role("button", name="Swap width and height").click()
    expect(page.get_by_role("radio", name="9:16")).to_be_checked()
    expect(page.locator("#output_quality")).to_be_hidden()
    page.locator("#output_format").select_option("webp")
    page.locator("#output_quality").fill("80")
    page.locator("#metadata").select_option("none")
    show(page, "form")

    page.get_by_test_id("seed-input").fill("1.5")
    page.locator("#steps").fill("5000")
    message = page.locator("#form-message")
    page.get_by_test_id("submit-button").click()
    expect(message).to_have_text("2 fields need attention.")
    page.locator("#steps").fill("7")
    expect(message).to_have_text("1 field needs attention.")
    lock = page.get_by_role("button", name="Keep the seed")
    expect(lock).to_have_attribute("aria-pressed", "true")
    lock.click()
    expect(page.get_by_test_id("seed-input")).to_be_empty()
    expect(message).to_be_empty()

    press_generate(page)
    sent = fakes.submissions()[0]
    assert sent["prompt"] == "two\nlines"
    assert (sent["width"], sent["height"], sent["num_images"]) == (192, 320, 2)
    assert (sent["output_format"], sent["output_quality"], sent["metadata"]) == ("webp", 80, "none")
    assert "seed" not in sent

    expect(message).to_contain_text("Task queued.")
    lock.click()
    (task,) = fakes.api.store.all_tasks
    expect(page.get_by_test_id("seed-input")).to_have_value(str(task.parameters.seed))
    page.get_by_role("button", name="Random seed").click()
    expect(page.get_by_test_id("seed-input")).not_to_have_value(str(task.parameters.seed))


def test_slow_submission_is_reported(fakes: PageWithFakes) -> None:
    page = ready_form(fakes)
    page.get_by_test_id("prompt-input").fill("a fox")
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/v1/tasks", hold)
    with page.expect_request("**/v1/tasks"):
        page.get_by_test_id("submit-button").click()
    expect(page.locator("#form-message")).to_have_text("Sending…")
    held[0].fallback()
    expect(page.locator("#form-message")).to_contain_text("Task queued.")


def test_form_does_not_move_when_the_list_arrives(fakes: PageWithFakes) -> None:
    """A button that moves while it is pressed gets no click."""
    page = ready_form(fakes)
    history, settings = page.get_by_test_id("prompt-history"), page.locator("#settings")
    expect(history).to_be_hidden()
    before = settings.bounding_box()
    page.evaluate("tasks => window.showTasks(tasks)", [fakes.completed_task("first")])
    expect(history).to_be_visible()
    assert settings.bounding_box() == before


def test_form_offers_earlier_prompts_and_keeps_the_draft_of_a_closed_tab(fakes: PageWithFakes) -> None:
    tasks = [fakes.completed_task(name, prompt=f"{name} prompt") for name in ("second", "first")]
    page = ready_form(fakes, tasks=tasks)
    prompt = page.get_by_test_id("prompt-input")
    page.get_by_test_id("prompt-history").locator("summary").click()
    page.get_by_test_id("prompt-history").get_by_role("button", name="first prompt").click()
    expect(prompt).to_have_value("first prompt")
    expect(prompt).to_be_focused()
    prompt.fill("a draft")
    page.keyboard.press("Alt+ArrowUp")
    expect(prompt).to_have_value("second prompt")
    page.keyboard.press("Alt+ArrowDown")
    expect(prompt).to_have_value("a draft")
    page.close()
    expect(ready_form(fakes).get_by_test_id("prompt-input")).to_have_value("a draft")


def test_message_of_the_prompt_is_directly_below_it(fakes: PageWithFakes) -> None:
    page = ready_form(fakes)
    prompt, count = page.get_by_test_id("prompt-input"), page.get_by_test_id("prompt-count")
    page.get_by_test_id("submit-button").click()
    error = page.locator("#prompt-error")
    expect(error).to_have_text("Enter a prompt.")
    assert error.evaluate("error => error.previousElementSibling.id") == "prompt"
    prompt.fill("a" * 2_001)
    expect(count).to_contain_text("2001 of at most 2000 characters")
    show(page, "prompt-too-long")


def test_accepted_task_is_a_link_away_on_a_phone(fakes: PageWithFakes) -> None:
    page = ready_form(fakes)
    link = page.get_by_role("link", name="Show it")
    page.get_by_test_id("prompt-input").fill("a fox")
    press_generate(page)
    expect(page.locator("#form-message")).to_contain_text("Task queued.")
    expect(link).to_be_hidden()
    page.set_viewport_size({"width": 375, "height": 667})
    link.click()
    expect(page.get_by_test_id("queue")).to_be_in_viewport()
    expect(page.locator("#tasks")).to_be_focused()
    page.get_by_test_id("prompt-input").fill("")
    page.get_by_test_id("submit-button").click()
    expect(page.locator("#form-message")).to_have_text("1 field needs attention.")
    expect(link).to_be_hidden()


@pytest.mark.parametrize("way", ["claimed", "served"])
def test_message_that_no_worker_serves_the_model_ends(fakes: PageWithFakes, way: str) -> None:
    fakes.context.clock.install()
    page = ready_form(fakes)
    page.get_by_test_id("prompt-input").fill("a fox")
    press_generate(page)
    message = page.locator("#form-message")
    expect(message).to_contain_text("no worker serves this model")
    (task,) = fakes.api.store.all_tasks
    page.evaluate("task => window.showTasks([task])", task_document(task))
    expect(message).to_contain_text("no worker serves this model")
    if way == "claimed":
        page.evaluate("task => window.showTasks([task])", task_document(fakes.api.claim(task)))
    else:
        fakes.api.clock.advance(60)  # the API remembers the reports for a short time
        now = fakes.api.clock.now()
        fakes.api.reports.publish(worker_report(reported_at=now, alive_until=now + timedelta(minutes=1)))
        page.clock.fast_forward(15_000)
    expect(message).to_be_empty()


def test_submission_without_a_readable_response_is_reported_and_keeps_its_key(fakes: PageWithFakes) -> None:
    page = ready_form(fakes)
    keys: list[str | None] = []

    def break_off(route: Route) -> None:
        keys.append(route.request.header_value("idempotency-key"))
        route.fulfill(status=202, body='{"id": "ta', content_type="application/json")

    page.route("**/v1/tasks", break_off)
    page.get_by_test_id("prompt-input").fill("broken")
    press_generate(page)
    expect(page.locator("#form-message")).to_have_text(
        "The action failed. Try again. No task is created twice."
    )
    press_generate(page)
    page.reload()
    expect(page.get_by_test_id("submit-button")).to_be_enabled()
    press_generate(page)
    first, *others = keys
    assert others == [first, first]
    assert first is not None


def test_task_of_a_lost_response_is_reported_and_the_next_press_creates_another(fakes: PageWithFakes) -> None:
    page = ready_form(fakes)

    def lose_the_response(route: Route) -> None:
        request = route.request
        client = fakes.api.app.test_client()
        assert (
            client.post("/v1/tasks", headers=request.headers, data=request.post_data_buffer).status_code
            == 202
        )
        route.abort()

    page.route("**/v1/tasks", lose_the_response, times=1)
    message, button = page.locator("#form-message"), page.get_by_test_id("submit-button")
    page.get_by_test_id("prompt-input").fill("a fox")
    button.click()
    expect(message).to_contain_text("The service is unreachable.")
    page.reload()
    expect(button).to_be_enabled()
    press_generate(page)
    expect(message).to_contain_text("An earlier try already created this task.")
    assert len(fakes.api.store.all_tasks) == 1
    press_generate(page)
    expect(message).to_contain_text("Task queued.")
    assert len(fakes.api.store.all_tasks) == 2


@pytest.mark.parametrize("way", ["connected", "answered"])
def test_message_that_the_service_is_unreachable_ends(fakes: PageWithFakes, way: str) -> None:
    fakes.context.clock.install()
    page = ready_form(fakes)
    page.route("**/v1/tasks", lambda route: route.abort())
    page.get_by_test_id("prompt-input").fill("a fox")
    page.get_by_test_id("submit-button").click()
    message = page.locator("#form-message")
    expect(message).to_contain_text("The service is unreachable.")
    if way == "connected":
        page.evaluate("dispatchEvent(new Event('offline'))")
        expect(message).to_contain_text("The service is unreachable.")
        page.evaluate("dispatchEvent(new Event('online'))")
    else:
        page.clock.fast_forward(15_000)
    expect(message).to_be_empty()


def test_estimate_follows_the_queue_and_counts_the_tokens(fakes: PageWithFakes) -> None:
    page = ready_form(fakes)
    seconds = iter((0.2, 72.0))
    warning = {
        "code": "prompt_truncated",
        "pointer": "/prompt",
        "detail": "The prompt has 42 tokens and the model reads 30.",
        "tokens": 42,
    }

    def estimate(route: Route) -> None:
        route.fulfill(json={"eta": {"p50_seconds": next(seconds)}, "warnings": [warning]})

    page.route("**/v1/tasks:estimate", estimate)
    page.get_by_test_id("prompt-input").fill("دائرة حمراء كبيرة")
    expect(page.locator("#prompt-warning")).to_contain_text("42 tokens")
    count = page.get_by_test_id("prompt-count")
    expect(count).to_have_text(re.compile(r"17 characters · 42( of \d+)? tokens"))
    expect(page.get_by_test_id("estimate")).to_have_text("About 0.2 s")
    page.evaluate("task => window.showTasks([task])", task_document(fakes.api.stored_task()))
    expect(page.get_by_test_id("estimate")).to_have_text("About 1 min 12 s")
