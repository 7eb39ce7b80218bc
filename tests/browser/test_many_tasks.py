"""Many tasks at once: the selection, labels, the search, and a long list."""

import io
import zipfile
from typing import Any

import pytest
from playwright.sync_api import Locator, expect

from frontend_api.tasks.changes import MAX_LABELS
from tests.browser.conftest import show
from tests.browser.page_with_fakes import PageWithFakes, task_document
from tests.browser.test_task_list import completed, expect_tasks, update

pytestmark = pytest.mark.browser


def ids(fakes: PageWithFakes) -> set[str]:
    return {task.id for task in fakes.api.store.all_tasks}


def select(card: Locator) -> Locator:
    return card.get_by_test_id("select-task")


def test_selection_by_mouse_and_keyboard_is_deleted_after_a_question(fakes: PageWithFakes) -> None:
    tasks = completed(fakes, 6)
    page = fakes.open(tasks=tasks)
    cards, bar = page.get_by_test_id("task-card"), page.get_by_test_id("selection-bar")
    select(cards.nth(0)).click()
    expect(bar).to_contain_text("1 task, 1 image")
    # In the mode, a click on an image selects its card.
    cards.nth(2).locator(".task__images").click(modifiers=["Shift"])
    expect(bar).to_contain_text("3 tasks, 3 images")
    select(cards.nth(2)).focus()
    page.keyboard.press("Shift+ArrowRight")
    expect(select(cards.nth(3))).to_be_focused()
    expect(bar).to_contain_text("4 tasks")
    show(page, "selection")
    page.keyboard.press("Escape")
    expect(bar).to_be_hidden()
    expect(page.locator("[data-selected]")).to_have_count(0)

    page.get_by_test_id("select-mode").press("Enter")
    page.keyboard.press("Control+a")
    expect(bar).to_contain_text("6 tasks")
    select(cards.nth(0)).press(" ")
    select(cards.nth(1)).press(" ")
    expect(bar).to_contain_text("4 tasks")
    bar.get_by_role("button", name="Delete").press("Enter")
    question = page.get_by_test_id("confirmation")
    expect(question).to_contain_text("4 images are deleted with them. This cannot be undone.")
    question.get_by_role("button", name="Delete 4 tasks").click()
    expect(bar).to_contain_text("4 deleted.")
    assert ids(fakes) == {"task-5", "task-4"}
    update(page, *tasks[:2])
    expect(bar).to_contain_text("None selected")


def test_selected_tasks_are_changed_by_one_request_that_names_failures(fakes: PageWithFakes) -> None:
    tasks = completed(fakes, 3)
    full = {f"label-{number}": "x" for number in range(MAX_LABELS)}
    fakes.api.store.update("task-1", lambda task: task.labelled(full, fakes.api.clock.now()))
    page = fakes.open(tasks=tasks)
    page.get_by_test_id("select-mode").click()
    bar = page.get_by_test_id("selection-bar")
    bar.get_by_role("button", name="Select all shown").click()
    bar.get_by_role("button", name="Favourite", exact=True).click()
    expect(bar).to_contain_text("2 changed, 1 failed: “\u2068picture 1\u2069”.")
    expect(bar).to_contain_text("A task has at most 16 labels, got 17. Press Favourite to try again.")
    changes = [body for method, path, body in fakes.requests if (method, path) == ("POST", "/v1/tasks:label")]
    assert [body["task_ids"] for body in changes] == [["task-2", "task-1", "task-0"]]
    assert fakes.api.store.get("task-1").labels == full


def test_zip_contains_the_images_and_names_a_missing_one(fakes: PageWithFakes) -> None:
    tasks = completed(fakes, 3)
    fakes.context.route("**/v1/tasks/task-1/images/0", lambda route: route.fulfill(status=500, body="{}"))
    page = fakes.open(tasks=tasks)
    page.get_by_test_id("select-mode").click()
    bar = page.get_by_test_id("selection-bar")
    bar.get_by_role("button", name="Select all shown").click()
    with page.expect_download() as download:
        bar.get_by_role("button", name="Download zip").click()
    assert download.value.suggested_filename == "darkroom-2-images.zip"
    with zipfile.ZipFile(io.BytesIO(download.value.path().read_bytes())) as archive:
        assert archive.testzip() is None
        names = sorted(archive.namelist())
        stored = fakes.api.images.objects.values()
        assert all(archive.read(name) in stored for name in names)
    assert [name.rsplit("-", 1)[0] for name in names] == ["picture-0", "picture-2"]
    expect(bar).to_contain_text("2 images saved. 1 could not be fetched: picture-1-")


def test_favourites_and_labels_are_set_shown_and_searched(fakes: PageWithFakes) -> None:
    tasks = completed(fakes, 3)
    page = fakes.open(tasks=tasks)
    cards = page.get_by_test_id("task-card")

    def stored() -> list[dict[str, Any]]:
        return [task_document(fakes.api.store.get(task["id"])) for task in tasks]

    star = cards.nth(1).get_by_test_id("favourite-button")
    with page.expect_response("**/labels"):
        star.press("Enter")
    update(page, *stored())
    expect(star).to_have_attribute("aria-pressed", "true")
    expect(star).to_be_focused()
    assert fakes.api.store.get("task-1").labels == {"favorite": "true"}

    cards.nth(0).locator(".tile").click()
    viewer = page.get_by_role("dialog")
    viewer.get_by_role("button", name="Label", exact=True).click()
    page.get_by_label("New label").fill("no label")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Write a label as name=value.")).to_be_visible()
    page.get_by_label("New label").fill("team=a")
    with page.expect_response("**/labels"):
        page.keyboard.press("Enter")
    update(page, *stored())
    expect(page.locator("#viewer-labels")).to_have_text("team=a")
    show(page, "viewer-labels")
    page.locator("#viewer-labels").get_by_role("button").click()
    expect(page.get_by_test_id("search-result")).to_have_text("1 found.")
    expect(cards).to_have_count(1)
    expect(cards).to_have_attribute("data-task-id", "task-2")
    page.get_by_role("button", name="Favourites").click()
    expect(page.get_by_test_id("search-result")).to_have_text("Nothing found.")
    show(page, "filters")
    page.get_by_role("button", name="Clear all").click()
    expect(cards).to_have_count(3)
    page.get_by_role("button", name="Favourites").click()
    expect(cards).to_have_count(1)
    expect(cards).to_have_attribute("data-task-id", "task-1")


def test_search_says_how_far_it_got_and_long_list_extends_by_itself(fakes: PageWithFakes) -> None:
    tasks = completed(fakes, 120)
    page = fakes.open(tasks=tasks)
    result, cards = page.get_by_test_id("search-result"), page.get_by_test_id("task-card")
    expect_tasks(page, 50)
    older = "**/v1/tasks?*"
    page.route(older, lambda route: route.fulfill(status=500, body="{}"))
    page.keyboard.press("s")
    page.keyboard.type("PICTURE 11")
    expect(result).to_have_text("10 found in the newest 50 tasks. Older tasks are not searched yet.")
    expect(page.locator("#more-message")).to_contain_text("Older tasks could not be loaded.")
    show(page, "search")
    page.unroute(older)
    page.get_by_role("button", name="Try again").press("Enter")
    expect(result).to_have_text("11 found.")
    expect(cards.last).to_contain_text("picture 11")
    page.get_by_test_id("search-text").fill("")
    expect(result).to_be_empty()
    page.evaluate("setInterval(() => scrollTo(0, document.body.scrollHeight), 50)")
    expect_tasks(page, 120)
    expect(cards.last).to_contain_text("picture 0")
    expect(page.get_by_test_id("show-more-button")).to_be_hidden()


NO_OVERHANG = """() => {
    const right = part => part.getBoundingClientRect().right;
    const edge = part => right(part.closest(".selection") ?? document.getElementById("tasks"));
    return [...document.querySelectorAll(".queue, .search, .tasks__bar, .selection")]
        .flatMap(part => [part, ...part.querySelectorAll("*")])
        .filter(part => part.checkVisibility() && getComputedStyle(part).clipPath === "none")
        .filter(part => right(part) > edge(part))
        .map(part => part.outerHTML.slice(0, 80));
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_bars_and_panels_fit_a_phone(fakes: PageWithFakes, scheme: str) -> None:
    waiting = fakes.api.stored_task(task_id="waiting")
    page = fakes.open(tasks=[task_document(waiting, prompt="a long prompt " * 10), *completed(fakes, 2)])
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.set_viewport_size({"width": 375, "height": 812})
    page.get_by_test_id("queue-summary").click()
    text, button = (
        page.get_by_test_id("search-text").bounding_box(),
        page.locator("#search-more").bounding_box(),
    )
    assert text is not None
    assert button is not None
    assert text["y"] < button["y"] < text["y"] + text["height"], "the search and its buttons are in one row"
    page.get_by_role("button", name="Filter").click()
    page.get_by_test_id("select-mode").click()
    page.get_by_role("button", name="Select all shown").click()
    expect(page.get_by_test_id("selection-bar")).to_contain_text("3 tasks, 2 images")
    assert page.evaluate(NO_OVERHANG) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    page.get_by_test_id("queue").scroll_into_view_if_needed()
    show(page, f"phone-{scheme}")
