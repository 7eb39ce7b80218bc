"""The flows of the pages by keyboard alone, in the order of the Tab key.

Each stop on the way has a name for assistive technology, shows that it has the focus, and is not covered.
"""

from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.keyboard import Keyboard, button, open_page
from tests.browser.page_with_fakes import ADDRESS, PageWithFakes, task_document
from tests.browser.test_account import open_with_sign_in
from tests.browser.test_task_list import completed, update
from tests.pictures import png
from tests.unit.frontend_api.conftest import signed_in_as

pytestmark = pytest.mark.browser


def test_form_is_filled_and_sent_by_keyboard(still: PageWithFakes) -> None:
    ink = {"name": "ink", "title": "Ink", "scale": 1.0, "min_scale": 0.0, "max_scale": 2.0, "trigger": ""}
    models = still.api.client.get("/v1/models").get_json()["models"]
    offered = [{**models[0], "inputs": ["text", "image", "mask"], "loras": [ink]}]
    still.context.route("**/v1/models", lambda route: route.fulfill(json={"models": offered}))
    still.context.route("**/v1/tasks", lambda route: route.fulfill(status=500, body="{}"))
    page, keyboard = open_page(still, *completed(still, 1))
    named = button(page)

    keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to your images")).to_be_focused()
    keyboard.expect_stop()
    keyboard.reach(page.get_by_test_id("prompt-input"))
    page.keyboard.type("a fox")
    keyboard.reach(page.get_by_test_id("prompt-history").locator("summary"), then="Enter")
    keyboard.reach(page.get_by_test_id("prompt-history").get_by_role("button"), then="Enter")
    expect(page.get_by_test_id("prompt-input")).to_be_focused()
    expect(page.get_by_test_id("prompt-input")).to_have_value("picture 0")

    keyboard.reach(page.get_by_role("radio", name="1:1"), then="ArrowRight")
    expect(page.get_by_role("radio", name="16:9")).to_be_focused()
    keyboard.reach(named("Swap width and height"), then="Enter")
    expect(page.get_by_role("radio", name="9:16")).to_be_checked()
    with page.expect_file_chooser() as chooser:
        keyboard.reach(page.get_by_test_id("image-input"), then="Enter")
    chooser.value.set_files(
        {"name": "photo.png", "mimeType": "image/png", "buffer": png(width=64, height=64)}
    )
    expect(named("Paint mask")).to_be_visible()
    keyboard.reach(named("Paint mask"), then="Enter")
    editor = page.get_by_role("dialog", name="Paint the mask")
    expect(page.get_by_test_id("mask-stage")).to_be_focused()
    keyboard.press("ArrowUp", " ")
    expect(editor.locator(".mask__status")).not_to_have_text("Nothing is painted.")
    keyboard.reach(named("Undo"), then="Enter")
    keyboard.reach(named("Paint whole picture"), then="Enter")
    keyboard.reach(named("Use mask"), key="Shift+Tab", then="Enter")
    expect(editor).to_be_hidden()
    expect(named("Edit mask")).to_be_focused()
    keyboard.reach(named("Remove mask"), then="Enter")
    expect(page.get_by_test_id("mask-input")).to_be_focused()
    keyboard.reach(named("Remove picture"), key="Shift+Tab", then="Enter")
    expect(page.get_by_test_id("image-input")).to_be_focused()

    keyboard.reach(page.get_by_role("checkbox", name="Ink"), then="Space")
    keyboard.reach(page.get_by_label("Scale of Ink"))
    page.keyboard.type("0.5")
    keyboard.reach(page.locator("#steps"), then="ArrowUp")
    keyboard.reach(page.get_by_role("radio", name="1 image"), then="ArrowRight")
    keyboard.reach(named("Random seed"), then="Enter")
    keyboard.reach(named("Keep the seed"), then="Enter")
    expect(page.get_by_test_id("seed-input")).to_be_empty()
    with page.expect_request("**/v1/tasks") as submission:
        keyboard.reach(page.get_by_test_id("submit-button"), then="Enter")
    sent: dict[str, Any] = submission.value.post_data_json or {}
    expect(page.locator("#form-message")).to_have_class("is-error")
    assert (sent["prompt"], sent["num_images"], sent["steps"]) == ("picture 0", 2, 21)
    assert sent["height"] > sent["width"]
    assert sent["loras"][0]["name"] == "ink"
    expect(page.get_by_test_id("submit-button")).to_be_focused()
    keyboard.reach(named("Reset to defaults"), key="Shift+Tab", then="Enter")
    keyboard.reach(page.locator("#width"), key="Shift+Tab")
    page.keyboard.type("1")
    keyboard.press("Control+Enter")
    expect(page.locator("#width")).to_be_focused()
    expect(page.locator("#width")).to_have_attribute("aria-invalid", "true")


def test_cards_are_worked_with_by_keyboard(still: PageWithFakes) -> None:
    last, *others = completed(still, 3)
    still.api.clock.advance(1)
    waiting = task_document(still.api.stored_task(task_id="waiting"))
    page, keyboard = open_page(still, waiting, last, *others)
    named, menu = button(page), page.locator("#reuse-menu")
    card = page.locator("[data-task-id=waiting]")

    keyboard.press("Tab", "Enter")
    expect(page.locator("#tasks")).to_be_focused()
    keyboard.reach(page.get_by_test_id("queue-summary"), then="Enter")
    keyboard.reach(named("Cancel all"), then="Enter")
    expect(named("Keep running")).to_be_focused()
    keyboard.press("Escape")
    expect(named("Cancel all")).to_be_focused()
    keyboard.reach(page.get_by_test_id("queue-summary"), key="Shift+Tab", then="Enter")
    keyboard.reach(page.get_by_test_id("image-size"), then="ArrowLeft")
    keyboard.reach(card.get_by_test_id("cancel-button"), then="Enter")
    cancelled = task_document(still.api.store.get("waiting"), status="cancelled")
    update(page, cancelled, last, *others)
    expect(card.get_by_test_id("retry-button")).to_be_focused()
    expect(page.locator("#announcer")).to_have_text("Cancelled: a large red circle")

    # A menu does not stay open behind the focus.
    keyboard.reach(card.get_by_test_id("reuse-button"), then="Enter")
    expect(named("Reuse all")).to_be_focused()
    keyboard.press("ArrowUp")
    expect(named("4 more like this")).to_be_focused()
    keyboard.press("Tab")
    expect(card.get_by_test_id("delete-button")).to_be_focused()
    expect(menu).to_be_hidden()
    keyboard.reach(card.get_by_test_id("reuse-button"), key="Shift+Tab", then="Enter")
    keyboard.press("Escape")
    expect(card.get_by_test_id("reuse-button")).to_be_focused()
    keyboard.reach(card.get_by_test_id("delete-button"), then="Enter")
    update(page, last, *others)
    expect(page.locator("[data-task-id=task-2] .tile")).to_be_focused()

    keyboard.press("ArrowRight")
    expect(page.locator("[data-task-id=task-1] .tile")).to_be_focused()
    keyboard.reach(page.locator("[data-task-id=task-1] [data-testid=favourite-button]"), then="Enter")
    keyboard.reach(page.locator("[data-task-id=task-1] [data-testid=delete-button]"), then="Enter")
    keyboard.expect_stop()
    with page.expect_response("**/v1/tasks/task-1"):
        keyboard.press("Enter")
    update(page, last, others[1])
    expect(page.locator("[data-task-id=task-0] .tile")).to_be_focused()
    # The images of a 400-pixel list are below each other.
    keyboard.reach(page.get_by_test_id("image-size"), key="Shift+Tab", then="End")
    page.set_viewport_size({"width": 375, "height": 800})
    keyboard.reach(page.locator("[data-task-id=task-2] .tile"), then="ArrowDown")
    expect(page.locator("[data-task-id=task-0] .tile")).to_be_focused()
    keyboard.press("ArrowUp")
    expect(page.locator("[data-task-id=task-2] .tile")).to_be_focused()


def test_viewer_and_its_dialogs_are_used_by_keyboard(still: PageWithFakes) -> None:
    others = completed(still, 1)
    still.api.clock.advance(1)
    pair = still.completed_task("pair", prompt="two", num_images=2)
    page, keyboard = open_page(still, pair, *others)
    viewer, named = page.get_by_role("dialog", name="two"), button(page)
    position, zoom = page.get_by_test_id("viewer-position"), page.get_by_test_id("viewer-zoom")

    keyboard.reach(page.locator("[data-task-id=pair] .tile").first, then="Enter")
    expect(named("Close")).to_be_focused()
    keyboard.press("ArrowRight")
    expect(position).to_have_text("2 of 3")
    expect(page.locator("#viewer [data-announcer]")).to_have_text("2 of 3: two")
    keyboard.press("+", "1")
    expect(zoom).to_have_text("100 %")
    keyboard.reach(page.get_by_test_id("viewer-stage"))
    keyboard.reach(named("Next image"))
    keyboard.reach(named("Zoom in"), key="Shift+Tab")
    keyboard.reach(named("Fit the image"), key="Shift+Tab", then="Enter")
    expect(zoom).to_be_empty()
    with page.expect_download():
        keyboard.reach(named("Download"), then="Enter")

    keyboard.reach(viewer.get_by_role("button", name="Label", exact=True), then="Enter")
    expect(page.get_by_label("New label")).to_be_focused()
    page.keyboard.type("team=a")
    with page.expect_response("**/labels"):
        keyboard.press("Enter")
    expect(viewer.get_by_role("button", name="Label", exact=True)).to_be_focused()
    keyboard.reach(named("Share"), then="Enter")
    keyboard.reach(named("Create link"), then="Enter")
    expect(page.get_by_test_id("share-list").get_by_role("listitem")).to_have_count(1)
    keyboard.expect_stop()
    keyboard.reach(page.get_by_test_id("share-list").get_by_role("button"), then="Enter")
    keyboard.press("Enter")
    expect(page.locator("#share-close")).to_be_focused()
    keyboard.press("Escape")
    expect(named("Share")).to_be_focused()
    keyboard.reach(viewer.get_by_role("button", name="Compare"), then="Enter")
    divider = page.get_by_role("slider", name="Divider")
    expect(divider).to_be_focused()
    keyboard.press("ArrowRight")
    expect(divider).to_have_attribute("aria-valuetext", "51 % of the left picture")
    keyboard.reach(named("Swap"), key="Shift+Tab", then="Enter")
    keyboard.press("Escape")
    expect(viewer.get_by_role("button", name="Compare")).to_be_focused()
    keyboard.reach(viewer.locator("summary"), then="Enter")
    keyboard.reach(page.get_by_label("Language"), then="ArrowDown")
    expect(page.get_by_test_id("viewer-code")).to_contain_text("from darkroom import Client")
    keyboard.reach(named("Copy code"), then="Enter")
    expect(viewer.get_by_text("Code copied.")).to_be_visible()

    # The focus is where the user was last.
    keyboard.press("ArrowRight")
    expect(position).to_have_text("3 of 3")
    keyboard.press("Escape")
    last = page.locator("[data-task-id=task-0] .tile")
    expect(last).to_be_focused()
    keyboard.press("Enter")
    expect(page).to_have_url(f"{ADDRESS}/#/t/task-0/1")
    expect(position).to_have_text("3 of 3")
    # The picture is deleted elsewhere.
    update(page, pair)
    page.go_back()
    expect(page.locator("#tasks")).to_be_focused()


def test_selection_search_and_page_controls_by_keyboard(still: PageWithFakes) -> None:
    tasks = completed(still, 4)
    page, keyboard = open_page(still, *tasks)
    named, bar = button(page), page.get_by_test_id("selection-bar")
    boxes = page.get_by_test_id("select-task")

    keyboard.press("s")
    expect(page.get_by_test_id("search-text")).to_be_focused()
    page.keyboard.type("picture 3")
    expect(page.get_by_test_id("search-result")).to_have_text("1 found.")
    keyboard.reach(named("Filter"), then="Enter")
    keyboard.reach(page.get_by_label("Status"), then="ArrowDown")
    expect(page.get_by_test_id("search-result")).to_have_text("Nothing found.")
    keyboard.reach(page.get_by_label("To", exact=True))
    keyboard.reach(named("Clear all"), then="Enter")
    expect(page.get_by_test_id("search-text")).to_be_focused()

    keyboard.reach(page.get_by_test_id("select-mode"), then="Enter")
    keyboard.reach(boxes.first, then="Space")
    keyboard.press("Shift+ArrowRight", "Shift+ArrowRight")
    expect(bar).to_contain_text("3 tasks, 3 images")
    keyboard.press("Enter")
    expect(named("Select all shown")).to_be_focused()
    with page.expect_download():
        keyboard.reach(bar.get_by_role("button", name="Download zip"), then="Enter")
    expect(bar).to_contain_text("3 images saved.")
    delete = bar.get_by_role("button", name="Delete")
    keyboard.reach(delete, then="Enter")
    expect(named("Keep")).to_be_focused()
    keyboard.reach(named("Delete 3 tasks"), key="Shift+Tab", then="Enter")
    expect(bar).to_contain_text("3 deleted.")
    update(page, tasks[3])
    expect(delete).to_be_focused()
    keyboard.reach(named("Done"), then="Enter")
    expect(page.get_by_test_id("select-mode")).to_be_focused()

    keyboard.reach(named("Keyboard shortcuts"), then="Enter")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    keyboard.press("Escape")
    expect(named("Keyboard shortcuts")).to_be_focused()
    keyboard.reach(page.get_by_test_id("theme"), then="End")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


def test_account_and_sign_in_by_keyboard(still: PageWithFakes) -> None:
    page, allowed = open_with_sign_in(still, "bob@example.com")
    allowed.append(True)
    keyboard, named = Keyboard(page), button(page)
    expect(page.locator("#sign-in")).to_be_visible()
    keyboard.reach(named("Sign in with Google"), then="Enter")
    expect(page.get_by_test_id("prompt-input")).to_be_focused()
    account, menu = page.get_by_test_id("account-button"), page.locator("#account-menu")
    keyboard.reach(account, key="Shift+Tab", then="Enter")
    keyboard.reach(page.get_by_test_id("notify"))
    keyboard.reach(page.get_by_test_id("prompt-input"))
    expect(menu).to_be_hidden()
    keyboard.reach(account, key="Shift+Tab", then="Enter")
    keyboard.reach(named("API keys"), then="Enter")
    expect(page.get_by_role("dialog", name="API keys").get_by_label("Name")).to_be_focused()
    page.keyboard.type("nightly batch")
    keyboard.reach(named("Create key"), then="Enter")
    expect(page.get_by_test_id("key-list").get_by_role("listitem")).to_have_count(1)
    keyboard.expect_stop()
    keyboard.reach(named("Copy key"), then="Enter")
    keyboard.reach(named("Revoke: nightly batch"), then="Enter")
    keyboard.expect_stop()
    keyboard.press("Enter")
    expect(page.locator("#keys-close")).to_be_focused()
    keyboard.press("Enter")
    expect(account).to_be_focused()
    keyboard.press("Enter")
    keyboard.reach(named("Sign out"), then="Enter")
    # The page is loaded again.
    expect(page.locator("#sign-in")).to_be_visible()
    keyboard.reach(named("Sign in with Google"))


def test_operator_page_is_used_by_keyboard(still: PageWithFakes) -> None:
    letter = {
        "id": "first", "died_at": "2026-01-01T12:00:00Z", "reason": "first reason", "task_id": "one",
        "is_replayable": True, "replayed_at": None, "subscription": None, "delivery_count": None,
    }  # fmt: skip
    pages = {
        False: {"dead_letters": [letter], "next_page_token": "second"},
        True: {"dead_letters": [{**letter, "id": "second", "reason": "last"}], "next_page_token": None},
    }
    still.context.set_extra_http_headers(signed_in_as("olga"))
    still.context.route(
        "**/v1/dead-letters?*", lambda route: route.fulfill(json=pages["page_token" in route.request.url])
    )
    page = still.context.new_page()
    page.goto(f"{ADDRESS}/operator")
    keyboard, named = Keyboard(page), button(page)
    expect(page.get_by_test_id("dead-letter")).to_have_count(1)
    keyboard.press("Tab", "Enter")
    expect(page.locator("#alerts")).to_be_focused()
    keyboard.reach(page.get_by_test_id("alert").first.locator("summary"), then="Enter")
    keyboard.reach(page.get_by_label("Period"), then="ArrowDown")
    keyboard.reach(page.locator("#history-details summary"), then="Enter")
    keyboard.reach(named("Replay: first reason"), then="Enter")
    expect(page.locator("#announcer")).to_have_text("Press again to replay the message.")
    keyboard.reach(named("Show more"), then="Enter")
    expect(named("Replay: last")).to_be_focused()
