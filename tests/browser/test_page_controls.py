"""The page around its form: reuse, image size, themes, shortcuts, dropped pictures."""

import io
import json

import pytest
from PIL import Image, PngImagePlugin
from playwright.sync_api import FilePayload, Locator, Page, expect

from tests.browser.conftest import show
from tests.browser.page_with_fakes import PageWithFakes

pytestmark = pytest.mark.browser


def value(page: Page, name: str) -> str:
    return page.locator(f"#{name}").input_value()


def test_reuse_menu_fills_the_form_and_submits_more_images(fakes: PageWithFakes) -> None:
    task = fakes.completed_task("one", prompt="a fox", steps=33, num_images=2, seed=77, width=320, height=192)
    page = fakes.open(tasks=[task])
    expect(page.get_by_test_id("submit-button")).to_be_enabled()
    reuse, menu = page.get_by_test_id("reuse-button"), page.locator("#reuse-menu")

    def choose(name: str) -> None:
        reuse.press("Enter")
        expect(menu.get_by_role("button", name="Reuse all")).to_be_focused()
        menu.get_by_role("button", name=name).press("Enter")

    choose("Reuse prompt")
    expect(page.get_by_test_id("prompt-input")).to_have_value("a fox")
    assert value(page, "steps") == "20"
    choose("Reuse all")
    expect(page.get_by_test_id("seed-input")).to_have_value("77")
    assert (value(page, "steps"), value(page, "num_images")) == ("33", "2")
    assert (value(page, "width"), value(page, "height")) == ("320", "192")
    choose("Remix")
    expect(page.get_by_test_id("seed-input")).to_be_empty()
    with page.expect_response("**/v1/tasks"):
        choose("4 more like this")
    sent = fakes.submissions()[0]
    assert (sent["prompt"], sent["steps"], sent["num_images"], sent["seed"]) == ("a fox", 33, 4, None)
    page.get_by_role("img", name="a fox").first.click()
    page.get_by_text("As code").click()
    expect(page.get_by_test_id("viewer-code")).to_contain_text('"steps": 33')
    page.get_by_role("button", name="Copy prompt").click()
    expect(page.get_by_text("Prompt copied.")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == "a fox"
    show(page, "viewer-code")


def height(card: Locator) -> float:
    return float(card.locator(".task__images").evaluate("area => area.getBoundingClientRect().height"))


def test_images_fill_rows_of_equal_height_in_the_chosen_size(fakes: PageWithFakes) -> None:
    sizes = [(256, 256), (512, 256), (256, 384), (384, 256), (256, 256), (512, 256), (256, 256), (512, 256)]
    tasks = [
        fakes.completed_task(f"task-{number}", prompt=f"picture {number}", width=wide, height=high)
        for number, (wide, high) in enumerate(sizes)
    ]
    failed = {**tasks[0], "id": "failed", "status": "failed", "images": [], "failure": "out of memory"}
    page = fakes.open(tasks=[*tasks, failed])
    page.set_viewport_size({"width": 2560, "height": 1200})
    cards = page.get_by_test_id("task-card")
    expect(cards).to_have_count(9)
    boxes = [card.bounding_box() for card in cards.all()]
    row = [index for index, box in enumerate(boxes) if box and boxes[0] and box["y"] == boxes[0]["y"]]
    assert len(row) >= 4
    heights = [height(cards.nth(index)) for index in row]
    assert max(heights) - min(heights) < 2
    right = max(box["x"] + box["width"] for box in boxes if box)
    assert right > 2400, "the full width is used"
    line = boxes[-1]
    assert line is not None
    assert line["height"] < 70, "a failed task takes one line"
    assert line["width"] > 1800
    prompt = cards.last.locator(".task__prompt").bounding_box()
    assert prompt is not None
    assert prompt["width"] > line["width"] / 4, "the prompt has the free space"
    show(page, "grid")
    page.get_by_test_id("image-size").fill("160")
    expect(page.get_by_test_id("task-list")).to_have_attribute("data-compact", "")
    assert height(cards.first) < heights[0]
    show(page, "grid-compact")
    page.reload()
    expect(page.get_by_test_id("image-size")).to_have_value("160")
    page.set_viewport_size({"width": 375, "height": 700})
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    show(page, "grid-phone")


def test_empty_page_has_examples_shortcuts_and_themes(fakes: PageWithFakes) -> None:
    page = fakes.open()
    expect(page.get_by_test_id("submit-button")).to_be_enabled()
    examples = page.get_by_test_id("empty-state").get_by_role("button")
    expect(examples).to_have_count(4)
    examples.first.click()
    expect(page.get_by_test_id("prompt-input")).to_have_value("a large red circle above a small blue square")
    expect(page.get_by_test_id("prompt-input")).to_be_focused()
    page.get_by_test_id("prompt-input").press("?")  # typed, because the field has the focus
    expect(page.locator("#shortcuts")).to_be_hidden()
    page.get_by_test_id("submit-button").focus()
    page.keyboard.press("?")
    expect(page.locator("#shortcuts")).to_be_visible()
    show(page, "shortcuts")
    page.keyboard.press("Escape")
    expect(page.locator("#shortcuts")).to_be_hidden()
    page.keyboard.press("/")
    expect(page.get_by_test_id("prompt-input")).to_be_focused()
    for theme, ground in (("dark", "rgb(20, 16, 15)"), ("light", "rgb(245, 241, 234)")):
        page.get_by_test_id("theme").select_option(theme)
        expect(page.locator("html")).to_have_css("background-color", ground)
        page.reload()
        expect(page.locator("html")).to_have_css("background-color", ground)


def test_chosen_picture_fills_the_form_with_its_parameters(fakes: PageWithFakes) -> None:
    page = fakes.open()
    expect(page.get_by_test_id("submit-button")).to_be_enabled()
    texts = PngImagePlugin.PngInfo()
    record = {
        "version": "1.0",
        "parameters": {"prompt": "a fox", "steps": 12, "seed": 2**63 - 1, "loras": []},
    }
    texts.add_itxt("darkroom", json.dumps(record))
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "PNG", pnginfo=texts)
    picture: FilePayload = {"name": "fox.png", "mimeType": "image/png", "buffer": file.getvalue()}
    page.get_by_test_id("picture-parameters").set_input_files(
        {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"a fox"}
    )
    expect(page.locator("#form-message")).to_have_text("notes.txt is not a picture.")
    page.get_by_test_id("picture-parameters").set_input_files(picture)
    page.get_by_role("button", name="Use its parameters").press("Enter")
    expect(page.get_by_test_id("prompt-input")).to_have_value("a fox")
    assert (value(page, "steps"), value(page, "seed")) == ("12", str(2**63 - 1))
    # A dropped picture offers the same.
    transfer = page.evaluate_handle(
        """bytes => {
          const transfer = new DataTransfer();
          transfer.items.add(new File([new Uint8Array(bytes)], "fox.png", { type: "image/png" }));
          return transfer;
        }""",
        list(file.getvalue()),
    )
    page.get_by_test_id("task-list").dispatch_event("drop", {"dataTransfer": transfer})
    expect(page.get_by_role("button", name="Start from the picture")).to_be_visible()


def test_broken_dropped_picture_leads_to_the_error_at_its_field(fakes: PageWithFakes) -> None:
    page = fakes.open()
    expect(page.get_by_test_id("submit-button")).to_be_enabled()
    message, error = page.locator("#form-message"), page.locator("#image-error")
    chooser = page.get_by_test_id("picture-parameters")
    page.set_viewport_size({"width": 375, "height": 400})
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "PNG")
    chooser.set_input_files({"name": "hello.png", "mimeType": "image/png", "buffer": b"hello"})
    expect(error).to_be_in_viewport()
    expect(error).not_to_be_empty()
    expect(page.get_by_test_id("image-input")).to_be_focused()
    expect(message).to_have_text("1 field needs attention.")
    chooser.set_input_files({"name": "fox.png", "mimeType": "image/png", "buffer": file.getvalue()})
    expect(message).to_have_text("This picture contains no parameters. The form now starts from the picture.")
    expect(error).to_be_empty()


def test_placeholder_of_the_search_fits_a_phone(fakes: PageWithFakes) -> None:
    page = fakes.open(tasks=[fakes.completed_task("one")])
    page.set_viewport_size({"width": 375, "height": 812})
    # The width of the placeholder as a value: the field scrolls if it is wider.
    assert page.get_by_test_id("search-text").evaluate(
        "field => { field.value = field.placeholder; return field.scrollWidth <= field.clientWidth; }"
    )
