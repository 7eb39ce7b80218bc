"""A list whose cards are not all in the document: what is visible, focused and selected stays so."""

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.page_with_fakes import ADDRESS, PageWithFakes
from tests.browser.test_task_list import MOVES_ARE_OVER, completed, expect_tasks, update

pytestmark = pytest.mark.browser

COUNT = 120
SCROLL_TO_THE_END = """async () => {
    const list = document.getElementById("task-list"), more = document.getElementById("more");
    const seen = new Set();
    let most = 0;
    const isAtEnd = () => more.hidden && innerHeight + scrollY >= document.documentElement.scrollHeight - 1;
    while (!isAtEnd()) {
        scrollBy(0, innerHeight);
        await new Promise(requestAnimationFrame);
        const cards = [...list.querySelectorAll("[data-task-id]")];
        for (const { dataset } of cards) seen.add(dataset.taskId);
        most = Math.max(most, cards.length);
    }
    return [seen.size, most];
}"""
NEXT_FRAME = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
FIRST_VISIBLE = """() => {
    const cards = [...document.querySelectorAll("[data-task-id]")];
    const card = cards.find(card => card.getBoundingClientRect().top >= 0);
    return [card.dataset.taskId, card.getBoundingClientRect().top];
}"""


def open_long_list(fakes: PageWithFakes) -> tuple[Page, list[dict[str, Any]]]:
    """Open a list of COUNT tasks and let the page load all of them."""
    tasks = completed(fakes, COUNT)
    page = fakes.open(tasks=tasks)
    page.evaluate(SCROLL_TO_THE_END)
    expect_tasks(page, COUNT)
    return page, tasks


def top_of(page: Page, task_id: str) -> float:
    """Return where a card is in the visible part of the page, after the cards have moved."""
    page.evaluate(NEXT_FRAME)
    page.evaluate(MOVES_ARE_OVER)
    top = page.locator(f"[data-task-id='{task_id}']").evaluate("card => card.getBoundingClientRect().top")
    return float(top)


def test_scrolling_shows_every_task_and_keeps_few_cards(fakes: PageWithFakes) -> None:
    page = fakes.open(tasks=completed(fakes, 300))
    seen, most = page.evaluate(SCROLL_TO_THE_END)
    assert seen == 300
    assert most < 60
    expect(page.get_by_test_id("task-card").last).to_have_attribute("aria-setsize", "300")
    # Back at the beginning, the heights that were estimates are known.
    page.keyboard.press("Home")
    expect(page.get_by_test_id("task-card").first).to_be_in_viewport()


def test_visible_cards_stay_where_they_are_when_others_change(fakes: PageWithFakes) -> None:
    page, tasks = open_long_list(fakes)
    page.evaluate(f"scrollTo(0, document.body.scrollHeight / 2); {NEXT_FRAME}")
    # The newest tasks become one line each. Then some are deleted.
    failed = [{**task, "status": "failed", "images": [], "failure": "out of memory"} for task in tasks[:9]]
    for changed in ([*failed, *tasks[9:51]], tasks[6:51]):
        card, top = page.evaluate(FIRST_VISIBLE)
        update(page, *changed)
        assert abs(top_of(page, card) - top) < 2

    card, top = page.evaluate(FIRST_VISIBLE)
    page.get_by_test_id("image-size").evaluate(
        "size => { size.value = 200; size.dispatchEvent(new Event('input', { bubbles: true })); }"
    )
    assert abs(top_of(page, card) - top) < 2
    # The form is above the list now.
    page.set_viewport_size({"width": 900, "height": 720})
    page.wait_for_function("innerWidth === 900")
    assert abs(top_of(page, card) - top) < 2


def test_tab_leads_on_from_a_card_that_was_scrolled_away(fakes: PageWithFakes) -> None:
    page, _ = open_long_list(fakes)
    page.evaluate(f"scrollTo(0, 0); {NEXT_FRAME}")
    card = page.locator("[aria-posinset='5']")
    card.get_by_test_id("delete-button").focus()
    page.evaluate(f"scrollTo(0, document.body.scrollHeight / 2); {NEXT_FRAME}")
    expect(card.get_by_test_id("delete-button")).to_be_focused()
    expect(card).not_to_be_in_viewport()
    page.keyboard.press("Tab")
    expect(page.locator("[aria-posinset='6']").get_by_test_id("select-task")).to_be_focused()
    expect(page.locator("[aria-posinset='6']")).to_be_in_viewport()


def test_selection_includes_cards_that_are_not_in_the_document(fakes: PageWithFakes) -> None:
    page, _ = open_long_list(fakes)
    page.evaluate(f"scrollTo(0, 0); {NEXT_FRAME}")
    page.get_by_test_id("select-mode").click()
    page.keyboard.press("Control+a")
    expect(page.get_by_test_id("selection-bar")).to_contain_text(f"{COUNT} tasks, {COUNT} images")
    page.evaluate(f"scrollTo(0, document.body.scrollHeight / 2); {NEXT_FRAME}")
    card, _ = page.evaluate(FIRST_VISIBLE)
    box = page.locator(f"[data-task-id='{card}']").get_by_test_id("select-task")
    expect(box).to_be_checked()
    box.click()
    expect(page.get_by_test_id("selection-bar")).to_contain_text(f"{COUNT - 1} tasks")
    # Shift extends the selection from there, across cards that leave the document.
    page.evaluate(f"scrollTo(0, 0); {NEXT_FRAME}")
    page.get_by_test_id("select-task").first.click(modifiers=["Shift"])
    expect(page.get_by_test_id("selection-bar")).to_contain_text(f"{COUNT} tasks")


def test_back_from_the_viewer_leads_to_the_same_card(fakes: PageWithFakes) -> None:
    page, _ = open_long_list(fakes)
    page.evaluate(f"scrollTo(0, document.body.scrollHeight / 2); {NEXT_FRAME}")
    card, _ = page.evaluate(FIRST_VISIBLE)
    tile = page.locator(f"[data-task-id='{card}'] .tile")
    expect(tile).to_be_enabled()
    tile.focus()
    top = top_of(page, card)
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.set_viewport_size({"width": 900, "height": 720})
    page.wait_for_function("innerWidth === 900")
    page.go_back()
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(tile).to_be_focused()
    assert abs(top_of(page, card) - top) < 2


@pytest.mark.parametrize("way", ["reload", "Back from another page"])
def test_list_is_where_it_was_after_a_reload(fakes: PageWithFakes, way: str) -> None:
    page, tasks = open_long_list(fakes)
    page.evaluate(f"scrollTo(0, document.body.scrollHeight * 2 / 3); {NEXT_FRAME}")
    card, top = page.evaluate(FIRST_VISIBLE)
    assert card not in [task["id"] for task in tasks[:50]], "the page loads it after the newest 50"
    if way == "reload":
        page.reload()
    else:
        page.goto(f"{ADDRESS}/docs")
        page.go_back()
    expect(page.locator(f"[data-task-id='{card}']")).to_be_in_viewport()
    assert abs(top_of(page, card) - top) < 2
    # A new visit begins at the top.
    page.goto(f"{ADDRESS}/docs")
    page.goto(ADDRESS)
    expect(page.get_by_test_id("task-list")).to_have_attribute("aria-busy", "false")
    page.evaluate(NEXT_FRAME)
    assert page.evaluate("scrollY") == 0
