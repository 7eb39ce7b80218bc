"""The page in a real browser: a prompt is written, the picture emerges, and stays."""

import hashlib
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from local_stack.stack import LocalStack
from tests.browser.conftest import screenshot_folder

pytestmark = [pytest.mark.browser, pytest.mark.end_to_end]
PROMPT = "a large red circle above a small blue square on a white background"


def set_steps(page: Page, steps: int) -> None:
    settings = page.locator("#settings")
    if settings.get_attribute("open") is None:
        settings.locator("summary").click()
    page.locator("#steps").fill(str(steps))


def submit(page: Page, prompt: str, *, steps: int | None = None) -> Locator:
    """Write a prompt, press the button, and return the new task's card."""
    page.get_by_test_id("prompt-input").fill(prompt)
    if steps is not None:
        set_steps(page, steps)
    with page.expect_response("**/v1/tasks") as answered:
        page.get_by_test_id("submit-button").click()
    return card_of(page, answered.value.json()["id"])


def card_of(page: Page, task_id: str) -> Locator:
    return page.locator(f'[data-testid="task-card"][data-task-id="{task_id}"]')


def show(page: Page, name: str) -> None:
    if folder := screenshot_folder():
        folder.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=folder / f"{name}.png", full_page=False)


def test_a_picture_emerges_step_by_step(page: Page) -> None:
    card = submit(page, PROMPT, steps=100)
    expect(card.get_by_test_id("task-preview")).to_be_visible()
    show(page, "emerging")
    expect(card).to_have_attribute("data-status", "completed")
    image = card.get_by_test_id("task-image")
    expect(image).to_be_visible()
    assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") == 256
    show(page, "finished")
    task_id = card.get_attribute("data-task-id")
    heard = page.evaluate("id => window.heard.filter(change => change.taskId === id)", task_id)
    steps = [change["step"] for change in heard if change["phase"] == "denoising"]
    assert len(set(steps)) >= 3, f"at least three progress updates arrive, heard of steps {steps}"
    assert steps == sorted(steps)


def test_a_running_task_can_be_cancelled(page: Page) -> None:
    card = submit(page, PROMPT, steps=100)
    card.get_by_test_id("cancel-button").click()
    expect(card).to_have_attribute("data-status", "cancelled")


def test_a_finished_picture_can_be_downloaded_whole(
    page: Page, tmp_path: Path, running_stack: LocalStack
) -> None:
    card = submit(page, PROMPT, steps=2)
    expect(card).to_have_attribute("data-status", "completed")
    with page.expect_download() as started:
        card.get_by_test_id("download-button").click()
    started.value.save_as(tmp_path / "image")
    task_id = card.get_attribute("data-task-id")
    told = page.request.get(f"/v1/tasks/{task_id}").json()["images"][0]
    assert hashlib.sha256((tmp_path / "image").read_bytes()).hexdigest() == told["sha256"]


def test_a_deleted_task_leaves_every_open_page(
    page: Page, chromium: Browser, running_stack: LocalStack
) -> None:
    card = submit(page, PROMPT, steps=2)
    task_id = card.get_attribute("data-task-id")
    elsewhere = chromium.new_page(base_url=running_stack.page_url)
    elsewhere.goto("/")
    twin = card_of(elsewhere, str(task_id))
    expect(twin).to_be_visible()
    expect(card).to_have_attribute("data-status", "completed")
    card.get_by_test_id("delete-button").click()  # asks first: a finished picture would be gone for good
    card.get_by_test_id("delete-button").click()
    expect(twin).to_have_count(0)
    elsewhere.close()


def test_a_seed_can_be_used_again(page: Page) -> None:
    card = submit(page, PROMPT, steps=2)
    expect(card).to_have_attribute("data-status", "completed")
    task_id = card.get_attribute("data-task-id")
    seed = page.request.get(f"/v1/tasks/{task_id}").json()["parameters"]["seed"]
    card.get_by_test_id("reuse-seed-button").click()
    expect(page.get_by_test_id("seed-input")).to_have_value(str(seed))


def test_a_refused_field_is_told_where_it_stands(page: Page) -> None:
    page.get_by_test_id("prompt-input").fill("x")
    set_steps(page, 5000)
    page.get_by_test_id("submit-button").click()
    expect(page.locator("#steps-error")).to_have_text("Between 1 and 100.")


def test_the_page_never_asks_the_api_for_news(page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(f"{request.method} {request.url}"))
    card = submit(page, PROMPT, steps=20)
    expect(card).to_have_attribute("data-status", "completed")
    about_tasks = [line for line in asked if "/v1/tasks" in line and "/images/" not in line]
    assert len(about_tasks) == 1, f"one POST and no polling, but: {about_tasks}"
    assert about_tasks[0].startswith("POST ")
