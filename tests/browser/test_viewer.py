"""The viewer of the page: one image large, and the way to the others."""

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import show
from tests.browser.page_with_fakes import ADDRESS, PageWithFakes
from tests.browser.test_task_list import completed, update

pytestmark = pytest.mark.browser


def swipe(page: Page, left: int) -> None:
    """Move a finger to the left by so many pixels."""
    stage = page.get_by_test_id("viewer-stage")
    finger = {"pointerType": "touch", "isPrimary": True, "pointerId": 7, "clientY": 200, "bubbles": True}
    stage.dispatch_event("pointerdown", {**finger, "clientX": 300})
    stage.dispatch_event("pointerup", {**finger, "clientX": 300 - left})


def test_viewer_leads_through_all_images_of_the_list(fakes: PageWithFakes) -> None:
    newest = fakes.completed_task("newest", prompt="a wide\npicture", width=512, height=256)
    pair = fakes.completed_task("pair", prompt="two pictures", num_images=2)
    page = fakes.open(tasks=[newest, pair])
    page.set_viewport_size({"width": 375, "height": 667})
    dialog = page.get_by_role("dialog")
    # Images are loaded near the viewport, and the form is above the list here.
    page.get_by_test_id("task-card").first.scroll_into_view_if_needed()
    page.get_by_role("img", name="a wide picture").click()
    expect(dialog).to_be_visible()
    assert dialog.evaluate("viewer => viewer.scrollTop") == 0
    expect(page.get_by_test_id("viewer-position")).to_have_text("1 of 3")
    expect(page).to_have_url(f"{ADDRESS}/#/t/newest/1")
    # The line break of the prompt is kept.
    expect(page.locator("#viewer-prompt")).to_have_text("a wide\npicture", use_inner_text=True)
    show(page, "viewer-phone")

    page.keyboard.press("ArrowRight")
    expect(page.get_by_test_id("viewer-position")).to_have_text("2 of 3")
    swipe(page, left=120)
    expect(page).to_have_url(f"{ADDRESS}/#/t/pair/2")
    expect(page.get_by_test_id("viewer-image")).to_have_attribute("src", f"{ADDRESS}/v1/tasks/pair/images/1")
    swipe(page, left=-120)
    expect(page.get_by_test_id("viewer-position")).to_have_text("2 of 3")
    page.get_by_role("button", name="Previous image").click()
    expect(page.get_by_test_id("viewer-position")).to_have_text("1 of 3")

    page.go_back()
    expect(dialog).to_be_hidden()
    expect(page).to_have_url(f"{ADDRESS}/")
    page.go_forward()
    expect(page.get_by_test_id("viewer-position")).to_have_text("1 of 3")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(page).to_have_url(f"{ADDRESS}/")


_CLOSE_AND_OPEN = """() => new Promise(resolve => {
    const viewer = document.getElementById("viewer");
    viewer.addEventListener("close", () => resolve(document.querySelector(".tile").click()), { once: true });
    viewer.close();
})"""


def test_viewer_opens_again_while_it_leaves_its_address(fakes: PageWithFakes) -> None:
    page = fakes.open(tasks=[fakes.completed_task("one", prompt="a picture")])
    page.get_by_role("img", name="a picture").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.evaluate("addEventListener('popstate', () => { window.hasLeft = true; })")
    page.evaluate(_CLOSE_AND_OPEN)
    page.wait_for_function("window.hasLeft")
    expect(page).to_have_url(f"{ADDRESS}/#/t/one/1")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page).to_have_url(f"{ADDRESS}/")


def test_viewer_loads_older_images_and_keeps_its_place(fakes: PageWithFakes) -> None:
    tasks = completed(fakes, 60)
    page = fakes.open(tasks=tasks)
    position = page.get_by_test_id("viewer-position")
    page.get_by_role("img", name="picture 59", exact=True).click()
    for number in range(2, 55):
        page.keyboard.press("ArrowRight")
        # The list shows 50, and older ones are loaded before the last is reached.
        expect(position).to_contain_text(f"{number} of")
    expect(position).to_have_text("54 of 60")
    page.keyboard.press("Escape")

    page.get_by_role("button", name="Favourites").click()
    favourites = [task | {"labels": {"favorite": "true"}} for task in tasks[:3]]
    update(page, *favourites)
    page.get_by_role("img", name="picture 58", exact=True).click()
    expect(position).to_have_text("2 of 3")
    update(page, favourites[0], tasks[1], favourites[2])
    expect(position).to_be_empty()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#viewer-prompt")).to_have_text("picture 57")
    expect(position).to_have_text("2 of 2")


def test_viewer_zooms_to_the_actual_size_and_back(fakes: PageWithFakes) -> None:
    page = fakes.open(tasks=[fakes.completed_task("one", prompt="a picture")])
    page.set_viewport_size({"width": 1600, "height": 900})
    page.get_by_role("img", name="a picture").click()
    image = page.get_by_test_id("viewer-image")
    expect(image).to_have_js_property("complete", True)
    show(page, "viewer")
    page.get_by_role("button", name="Actual size").click()
    expect(page.get_by_test_id("viewer-zoom")).to_have_text("100 %")
    assert image.evaluate("image => [image.clientWidth, image.naturalWidth]") == [256, 256]
    page.keyboard.press("+")
    expect(page.get_by_test_id("viewer-zoom")).to_have_text("150 %")
    page.keyboard.press("0")
    expect(page.get_by_test_id("viewer-zoom")).to_be_empty()
    page.get_by_test_id("viewer-image").click()
    expect(page.get_by_test_id("viewer-zoom")).to_have_text("100 %")


def test_more_that_is_pressed_again_before_the_response_is_reported_as_one_task(fakes: PageWithFakes) -> None:
    page = fakes.open(tasks=[fakes.completed_task("one", prompt="a picture")])
    page.get_by_role("img", name="a picture").click()
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)
        if len(held) == 2:
            held[0].fallback()

    page.route("**/v1/tasks", hold)
    dialog = page.get_by_role("dialog")
    more, message = dialog.locator("[data-reuse=more]"), dialog.locator(".viewer__message")
    more.click()
    more.click()
    expect(message).to_contain_text("More images")
    held[1].fallback()
    expect(message).to_contain_text("An earlier try already created this task.")
    expect(page.locator("#form-message")).to_contain_text("An earlier try already created this task.")
    assert len(fakes.api.store.all_tasks) == 2


def test_image_opens_while_its_thumbnail_is_loading(fakes: PageWithFakes) -> None:
    fakes.context.route("**/thumbnail", lambda _: None)  # not answered
    page = fakes.open(tasks=[fakes.completed_task("one", prompt="a picture")])
    tile = page.get_by_role("button", name="a picture", exact=True)
    tile.press("Enter")
    expect(page.get_by_test_id("viewer-image")).to_have_js_property("naturalWidth", 256)
    page.keyboard.press("Escape")
    expect(tile).to_be_focused()


def test_link_of_a_picture_opens_it_although_the_list_lacks_it(fakes: PageWithFakes) -> None:
    fakes.completed_task("old", prompt="an old picture", num_images=2)
    page = fakes.open("/t/old/2")
    expect(page.get_by_role("dialog")).to_be_visible()
    expect(page.locator("#viewer-prompt")).to_have_text("an old picture")
    expect(page).to_have_url(f"{ADDRESS}/#/t/old/2")
    page.get_by_role("button", name="Copy link").click()
    expect(page.get_by_text("Link copied.")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == f"{ADDRESS}/t/old/2"
    page.get_by_role("button", name="Close").click()
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page).to_have_url(f"{ADDRESS}/")


def test_link_of_a_missing_picture_says_so_on_the_page(fakes: PageWithFakes) -> None:
    page = fakes.open("/t/unknown/1", tasks=[fakes.completed_task("one", prompt="a picture")])
    expect(page.locator("#link-message")).to_contain_text("There is no picture at this address.")
    expect(page.get_by_role("dialog")).to_be_hidden()
    show(page, "missing-picture")
    page.get_by_role("img", name="a picture").click()
    page.get_by_role("button", name="Close").click()
    expect(page.locator("#link-message")).to_be_empty()
