"""axe-core in every state of the pages, light and dark, and the focus of the keyboard.

The pages show tasks of fakes, which do not change by themselves.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.accessibility import expect_accessible
from tests.browser.page_with_fakes import ADDRESS, PageWithFakes, task_document
from tests.browser.test_account import open_with_sign_in
from tests.pictures import png
from tests.unit.frontend_api.conftest import signed_in_as

pytestmark = pytest.mark.browser


@pytest.fixture
def still(chromium: Browser) -> Iterator[PageWithFakes]:
    """The page without transitions, and without the policy that blocks axe-core."""
    context: BrowserContext = chromium.new_context(reduced_motion="reduce", bypass_csp=True)
    context.set_default_timeout(120_000)
    page = PageWithFakes(context)
    yield page
    context.close()
    page.close()


def every_task(fakes: PageWithFakes) -> list[dict[str, Any]]:
    """Return a task in each state, the newest first."""
    preview = {"index": 0, "step": 2, "contentType": "image/png", "data": list(png(shade=120))}
    running = task_document(fakes.api.claimed_task(task_id="running"))
    done = fakes.completed_task("done", prompt="a fox", num_images=2)
    labels = {"favorite": "true", "team": "a"}
    warning = "The prompt has 56 tokens and the model reads 30."
    return [
        task_document(fakes.api.stored_task(task_id="queued"), prompt="עיגול אדום"),
        {**running, "phase": "denoising", "step": 4, "progress": 0.2, "previews": [preview]},
        {
            **fakes.completed_task("labelled", prompt="a wide fox", width=512),
            "labels": labels,
            "warnings": [warning],
        },
        done,
        {**running, "id": "failed", "status": "failed", "failure": "out of memory"},
        {**running, "id": "cancelled", "status": "cancelled"},
    ]


def open_list(fakes: PageWithFakes) -> Page:
    page = fakes.open(tasks=every_task(fakes))
    expect(page.get_by_test_id("submit-button")).to_be_enabled()
    expect(page.get_by_test_id("task-card")).to_have_count(6)
    return page


def test_empty_page_and_its_errors_are_accessible(still: PageWithFakes) -> None:
    page = still.open()
    expect(page.get_by_test_id("submit-button")).to_be_enabled()
    expect_accessible(page, state="empty")
    page.keyboard.press("?")
    expect_accessible(page, "dialog[open]", state="shortcuts")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="About this model").click()
    expect(page.locator("#models img")).to_be_visible()
    expect_accessible(page, "#models", state="model-picker")
    page.keyboard.press("Escape")
    page.locator("#steps").fill("5000")
    page.get_by_test_id("submit-button").click()
    expect(page.locator("#form-message")).to_have_text("2 fields need attention.")
    expect_accessible(page, "#form", state="field-errors")
    page.context.set_offline(True)
    expect(page.locator("#notice")).to_be_visible()
    expect_accessible(page, "#notice", state="offline")


def test_list_and_its_panels_are_accessible(still: PageWithFakes) -> None:
    still.context.route(
        "**/v1/tasks/done/images/1/thumbnail", lambda route: route.fulfill(status=500, body="{}")
    )
    page = open_list(still)
    # axe-core reads the colours of cards that Chromium does not render, and does not update.
    page.add_style_tag(content=".task article { content-visibility: visible !important }")
    expect(page.get_by_role("button", name="The image could not be loaded")).to_be_visible()
    expect_accessible(page, state="list")
    page.get_by_test_id("queue-summary").click()
    expect_accessible(page, ".queue", state="queue-panel")
    page.get_by_test_id("prompt-history").locator("summary").click()
    expect_accessible(page, "#prompt-history", state="prompt-history")
    page.get_by_role("button", name="Cancel all").click()
    expect(page.get_by_test_id("confirmation")).to_be_visible()
    expect_accessible(page, "dialog[open]", state="question")
    page.keyboard.press("Escape")
    page.get_by_test_id("reuse-button").first.click()
    expect_accessible(page, "#reuse-menu", state="reuse-menu")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Filter").click()
    page.get_by_test_id("search-text").fill("no such prompt")
    expect(page.get_by_test_id("search-result")).to_have_text("Nothing found.")
    expect_accessible(page, "#tasks", state="nothing-found")
    page.get_by_role("button", name="Clear all").click()
    page.get_by_test_id("select-mode").click()
    page.get_by_role("button", name="Select all shown").click()
    expect_accessible(page, "#selection-bar", state="selection")
    page.get_by_test_id("selection-bar").get_by_role("button", name="Label").click()
    page.get_by_label("New label").fill("no label")
    page.keyboard.press("Enter")
    expect_accessible(page, "dialog[open]", state="label-dialog")
    page.keyboard.press("Escape")
    page.get_by_test_id("selection-bar").get_by_role("button", name="Done").click()
    page.set_viewport_size({"width": 375, "height": 812})
    page.get_by_test_id("image-size").fill("160")
    expect_accessible(page, state="compact-phone")


def test_viewer_and_the_dialogs_are_accessible(still: PageWithFakes) -> None:
    page = open_list(still)
    page.get_by_role("img", name="a wide fox").click()
    page.get_by_text("As code").click()
    expect(page.get_by_test_id("viewer-code")).to_contain_text("curl")
    expect_accessible(page, "#viewer", state="viewer")
    page.get_by_role("button", name="Share").click()
    dialog = page.get_by_role("dialog", name="Share this picture")
    dialog.get_by_role("button", name="Create link").click()
    expect(page.get_by_test_id("share-list").get_by_role("listitem")).to_have_count(1)
    expect_accessible(page, "#share", state="share-dialog")
    link = page.get_by_test_id("share-url").input_value()
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    page.get_by_test_id("account-button").click()
    expect_accessible(page, "#account-menu", state="account-menu")
    page.get_by_role("button", name="API keys").click()
    dialog = page.get_by_role("dialog", name="API keys")
    dialog.get_by_label("Name").fill("nightly batch")
    dialog.get_by_role("button", name="Create key").click()
    expect(page.get_by_test_id("key-list").get_by_role("listitem")).to_have_count(1)
    expect_accessible(page, "#keys", state="api-keys")
    page.goto(link)
    expect_accessible(page, "body", state="shared-page")
    page.goto(f"{ADDRESS}/s/AAAAAAAAAAAAAAAAAAAAAAAA")
    expect_accessible(page, state="shared-page-without-picture")


def test_sign_in_and_missing_access_are_accessible(still: PageWithFakes) -> None:
    page, _ = open_with_sign_in(still, "auth/popup-blocked", "bob@example.com")
    page.locator("#sign-in").click()
    expect(page.locator("#sign-in-message")).to_contain_text("Permit pop-ups")
    expect_accessible(page, state="sign-in")
    page.locator("#sign-in").click()
    expect(page.get_by_role("heading", name="You don't have access")).to_be_focused()
    expect_accessible(page, state="no-access")


def test_operator_page_and_reference_are_accessible(still: PageWithFakes) -> None:
    page = still.context.new_page()
    page.goto(f"{ADDRESS}/operator")
    expect(page.get_by_test_id("summary")).to_contain_text("Access denied.")
    expect_accessible(page, state="operator-denied")
    as_operator = signed_in_as("olga")
    still.context.route(
        "**/v1/**", lambda route: route.fallback(headers={**route.request.headers, **as_operator})
    )
    page.reload()
    alert = page.get_by_test_id("alert").first
    expect(alert).to_be_visible()
    alert.locator("summary").click()
    expect_accessible(page, state="operator")
    page.goto(f"{ADDRESS}/docs")
    expect(page.get_by_role("link", name="Cancel a task")).to_be_visible()
    expect_accessible(page, "openapi-explorer", state="reference")


def test_viewer_keeps_the_focus_at_the_last_image(fakes: PageWithFakes) -> None:
    page = open_list(fakes)
    tile = page.get_by_role("img", name="a wide fox").locator("xpath=..")
    tile.press("Enter")
    following, position = (
        page.get_by_role("button", name="Next image"),
        page.get_by_test_id("viewer-position"),
    )
    following.focus()
    for number in (2, 3):
        page.keyboard.press("Enter")
        expect(position).to_have_text(f"{number} of 3")
    expect(following).to_be_hidden()
    page.keyboard.press("ArrowLeft")
    expect(position).to_have_text("2 of 3")
    # A click beside the controls leaves the keys to the viewer, too.
    page.locator("#viewer-prompt").click()
    page.keyboard.press("ArrowLeft")
    expect(position).to_have_text("1 of 3")
    page.keyboard.press("Escape")
    expect(tile).to_be_focused()


def test_focus_stays_when_its_button_disappears(fakes: PageWithFakes) -> None:
    page = open_list(fakes)
    page.get_by_test_id("search-text").fill("no such prompt")
    page.get_by_role("button", name="Show all tasks").press("Enter")
    expect(page.get_by_test_id("search-text")).to_be_focused()
    expect(page.get_by_test_id("task-card")).to_have_count(6)

    page.get_by_test_id("account-button").press("Enter")
    page.get_by_role("button", name="API keys").press("Enter")
    dialog = page.get_by_role("dialog", name="API keys")
    dialog.get_by_label("Name").fill("nightly batch")
    page.route("**/v1/keys", lambda route: route.fulfill(status=500, body="{}"))
    dialog.get_by_role("button", name="Create key").press("Enter")
    expect(dialog.get_by_role("status")).not_to_be_empty()
    expect(dialog.get_by_role("button", name="Create key")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_test_id("account-button")).to_be_focused()

    page.context.set_offline(True)
    page.get_by_role("button", name="Try again").press("Enter")
    expect(page.locator("#notice")).to_be_hidden()
    expect(page.get_by_test_id("connection-state")).to_be_focused()
