"""The list of tasks: cards, their texts, pictures and focus."""

import json
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import show
from tests.browser.page_with_fakes import ADDRESS, PageWithFakes, task_document
from tests.factories import parameters
from tests.pictures import png

pytestmark = pytest.mark.browser


def update(page: Page, *tasks: dict[str, Any]) -> None:
    """Let the page receive this list."""
    page.evaluate(f"window.showTasks({json.dumps(tasks)})")


def completed(fakes: PageWithFakes, count: int) -> list[dict[str, Any]]:
    """Store completed tasks, each a second after the one before, and return them, newest first."""
    tasks = []
    for number in range(count):
        fakes.api.clock.advance(1)
        tasks.append(fakes.completed_task(f"task-{number}", prompt=f"picture {number}"))
    return tasks[::-1]


def expect_tasks(page: Page, count: int) -> None:
    """Wait until the list has so many tasks. Not all of their cards are in the document."""
    expect(page.get_by_test_id("task-card").last).to_have_attribute("aria-posinset", str(count))


@pytest.mark.parametrize("width", [320, 375, 1280])
def test_texts_of_a_waiting_card_fit(fakes: PageWithFakes, width: int) -> None:
    model = "a-model-with-a-rather-long-name-of-its-own"
    task = task_document(fakes.api.stored_task(task_id="waiting"), model=model)
    answer = {"queue_position": 12_345, "eta": {"p50_seconds": 3_599}, "model_served": True}
    fakes.context.route("**/v1/tasks/waiting", lambda route: route.fulfill(json=answer))
    page = fakes.open(tasks=[task])
    page.locator("#task-list").evaluate("list => list.setAttribute('data-models', '')")
    page.set_viewport_size({"width": width, "height": 800})
    expect(page.locator(".task__step")).to_contain_text("12345 tasks ahead")
    show(page, f"waiting-{width}")
    overhang = page.locator(".task__body").evaluate(
        """body => Math.max(...[body, ...body.querySelectorAll("*")]
            .map(part => part.getBoundingClientRect().right)) - body.parentElement.getBoundingClientRect().right"""
    )
    assert overhang <= 0
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_claimed_task_that_waits_shows_its_position(fakes: PageWithFakes) -> None:
    task = task_document(fakes.api.claimed_task(task_id="held"))
    answer = {"queue_position": 0, "eta": {"p50_seconds": 40}, "model_served": True}
    fakes.context.route("**/v1/tasks/held", lambda route: route.fulfill(json=answer))
    page = fakes.open(tasks=[task])
    expect(page.locator(".task__headline")).to_have_text("Starting")
    expect(page.locator(".task__step")).to_have_text("next in the queue, about 40 s")


def test_bar_never_goes_back_between_phases(fakes: PageWithFakes) -> None:
    task = fakes.api.claimed_task(task_id="pair", parameters=parameters(num_images=2))
    page = fakes.open(tasks=[task_document(task)])
    fill = page.locator(".bar__fill")
    phases = [("loading_model", 0.0), ("encoding_prompt", 0.0), ("denoising", 0.5), ("decoding", 0.5)]
    lengths = []
    for phase, progress in [*phases, ("denoising", 0.75)]:
        update(page, task_document(task, phase=phase, progress=progress))
        # The end of a transition that does not run is its value.
        lengths.append(fill.evaluate(
            "fill => { fill.style.transition = 'none'; return new DOMMatrix(getComputedStyle(fill).transform).a; }"
        ))  # fmt: skip
    assert lengths == [0, 0, 0.5, 0.5, 0.75]


def test_card_counts_the_steps_of_the_image_in_progress(fakes: PageWithFakes) -> None:
    task = fakes.completed_task("pair", prompt="two", num_images=2)
    images = [
        {"index": 0, "phase": "uploading", "step": 20},
        {"index": 1, "phase": "denoising", "step": 4},
    ]
    task |= {"status": "processing", "phase": "denoising", "images": task["images"][:1]}
    page = fakes.open(tasks=[task | {"step": 4, "totalSteps": 20, "imageProgress": images}])
    expect(page.locator(".task__step")).to_have_text("1 of 2 done, step 4 of 20")
    expect(page.get_by_test_id("task-image")).to_be_visible()


def test_preview_has_its_own_colours(fakes: PageWithFakes) -> None:
    task = fakes.api.claimed_task(task_id="running")
    preview = {"index": 0, "step": 2, "contentType": "image/png", "data": list(png(shade=120))}
    page = fakes.open(tasks=[task_document(task, phase="denoising", previews=[preview])])
    shown = page.get_by_test_id("task-preview")
    expect(shown).to_be_visible()
    assert shown.evaluate("image => getComputedStyle(image).filter") == "none"
    assert shown.evaluate("image => getComputedStyle(image.parentElement, '::after').content") == "none"


def test_focus_ring_of_a_picture_is_painted_above_it(fakes: PageWithFakes) -> None:
    page = fakes.open(tasks=completed(fakes, 1))
    expect(page.get_by_test_id("task-image")).to_be_visible()
    tile = page.locator(".tile")
    page.get_by_test_id("favourite-button").focus()
    page.keyboard.press("Shift+Tab")
    expect(tile).to_be_focused()
    show(page, "focused-picture")
    # The pseudo-element is the last child, so it is painted above the picture.
    assert tile.evaluate("tile => getComputedStyle(tile, '::after').outlineStyle") == "solid"


def test_focus_stays_in_a_card_whose_focused_button_disappears(fakes: PageWithFakes) -> None:
    task = fakes.api.claimed_task(task_id="task")
    page = fakes.open(tasks=[task_document(task)])
    page.get_by_test_id("cancel-button").focus()
    update(page, fakes.completed_task("other", prompt="other") | {"id": "task"})
    expect(page.get_by_test_id("cancel-button")).to_be_hidden()
    expect(page.get_by_test_id("download-button")).to_be_focused()


def test_focus_moves_to_the_next_card_when_show_more_disappears(fakes: PageWithFakes) -> None:
    page = fakes.open(tasks=completed(fakes, 55))
    more = page.get_by_test_id("show-more-button")
    expect_tasks(page, 50)
    # The end of the list is below the visible part of the page, where the list does not extend by itself.
    more.evaluate("more => more.focus({ preventScroll: true })")
    page.keyboard.press("Enter")
    expect_tasks(page, 55)
    expect(more).to_be_hidden()
    next_card = page.locator("[aria-posinset='51']")
    assert next_card.evaluate("card => card.contains(document.activeElement)")


def test_line_breaks_and_direction_of_a_prompt_are_kept(fakes: PageWithFakes) -> None:
    prompts = [
        "first line\nsecond line",
        "\u05d3\u05d9\u05d5\u05e7\u05df \u05e9\u05dc \u05d7\u05ea\u05d5\u05dc",
    ]
    tasks = [fakes.completed_task(f"task-{number}", prompt=prompt) for number, prompt in enumerate(prompts)]
    shown = fakes.open(tasks=tasks).locator(".task__prompt")
    assert shown.first.evaluate("text => text.innerText") == prompts[0]
    assert shown.last.evaluate("text => getComputedStyle(text).direction") == "rtl"


def test_images_far_below_are_not_loaded(fakes: PageWithFakes) -> None:
    page = fakes.open(tasks=completed(fakes, 50))
    expect(page.get_by_test_id("task-image").first).to_be_visible()
    loaded = {path for method, path, _ in fakes.requests if "/images/" in path}
    assert {path.rpartition("/")[2] for path in loaded} == {"thumbnail"}
    assert "/v1/tasks/task-49/images/0/thumbnail" in loaded
    assert "/v1/tasks/task-0/images/0/thumbnail" not in loaded
    page.get_by_test_id("task-card").last.scroll_into_view_if_needed()
    expect(page.get_by_test_id("task-card").last.get_by_test_id("task-image")).to_be_visible()


def test_dragged_picture_is_the_whole_image(fakes: PageWithFakes) -> None:
    page = fakes.open(tasks=completed(fakes, 1))
    image = page.get_by_test_id("task-image")
    expect(image).to_be_visible()
    assert image.get_attribute("draggable") == "true"
    dragged = image.evaluate(
        """image => {
            const dataTransfer = new DataTransfer();
            image.dispatchEvent(new DragEvent("dragstart", { bubbles: true, dataTransfer }));
            return [dataTransfer.getData("text/uri-list"), dataTransfer.getData("DownloadURL")];
        }"""
    )
    url = f"{ADDRESS}/v1/tasks/task-0/images/0"
    assert dragged[0] == url
    assert dragged[1].startswith("image/png:picture-0-")
    assert dragged[1].endswith(url)


SHIFTS = """window.shifted = 0;
new PerformanceObserver(list => { for (const { value } of list.getEntries()) window.shifted += value; })
    .observe({ type: "layout-shift", buffered: true });"""


MOVES_ARE_OVER = """Promise.all(document.getAnimations()
    .filter(animation => animation.effect.getComputedTiming().iterations !== Infinity)
    .map(animation => animation.finished.catch(() => null)))"""


def test_task_from_elsewhere_does_not_make_the_cards_jump(fakes: PageWithFakes) -> None:
    tasks = completed(fakes, 12)
    page = fakes.open(tasks=tasks[1:])
    expect(page.get_by_test_id("task-image").first).to_be_visible()
    page.evaluate(SHIFTS)
    before = page.evaluate("window.shifted")
    update(page, *tasks)
    expect_tasks(page, 12)
    page.evaluate(MOVES_ARE_OVER)
    assert page.evaluate("window.shifted") - before < 0.05


def test_scrolled_list_announces_new_tasks_and_shows_them_on_request(fakes: PageWithFakes) -> None:
    tasks = completed(fakes, 30)
    page = fakes.open(tasks=tasks[2:])
    cards, button = page.get_by_test_id("task-card"), page.get_by_test_id("new-tasks-button")
    expect_tasks(page, 28)
    cards.last.scroll_into_view_if_needed()
    update(page, *tasks)
    expect(button).to_have_text("2 new")
    expect_tasks(page, 28)
    show(page, "new-tasks")
    button.click()
    expect_tasks(page, 30)
    expect(cards.first).to_be_in_viewport()
    expect(button).to_be_hidden()
