"""Work with pictures on the page: masks, comparisons, and notifications of finished ones."""

import hashlib
import io

import pytest
from PIL import Image
from playwright.sync_api import FilePayload, Page, expect

from tests.browser.accessibility import expect_accessible
from tests.browser.conftest import show
from tests.browser.page_with_fakes import ADDRESS, PageWithFakes
from tests.pictures import png

pytestmark = pytest.mark.browser


def drag(page: Page, test_id: str, *points: tuple[float, float]) -> None:
    """Drag the mouse over an element, through these parts of its width and height."""
    box = page.get_by_test_id(test_id).bounding_box()
    assert box is not None
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=5)
    page.mouse.up()


def stored_mask(fakes: PageWithFakes, input_id: str) -> Image.Image:
    answer = fakes.api.client.get(f"/v1/inputs/{input_id}/content")
    return Image.open(io.BytesIO(answer.data))


def test_mask_is_painted_edited_again_and_reused(fakes: PageWithFakes) -> None:
    page = fakes.open()
    page.set_viewport_size({"width": 1280, "height": 800})
    expect(page.get_by_test_id("submit-button")).to_be_enabled()
    paint = page.locator("#paint-mask")
    expect(paint).to_be_hidden()
    picture = png(width=128, height=96)
    page.get_by_test_id("image-input").set_input_files(
        {"name": "photo.png", "mimeType": "image/png", "buffer": picture}
    )
    expect(paint).to_have_text("Paint mask")
    paint.press("Enter")
    editor = page.get_by_role("dialog", name="Paint the mask")
    stage, status = page.get_by_test_id("mask-stage"), editor.locator(".mask__status")
    expect(stage).to_be_focused()
    expect(status).to_have_text("Nothing is painted.")
    editor.get_by_role("button", name="Use mask").click()
    expect(editor.get_by_role("alert")).to_have_text("Paint the parts that are generated again first.")

    # The left half is painted in lines as wide as half of the picture.
    page.get_by_role("slider", name="Size", exact=True).fill("64")
    drag(page, "mask-canvas", (0.25, 0.01), (0.25, 0.99))
    expect(status).to_have_text("50 % of the picture is painted.")
    stage.press("e")
    stage.press("[")
    expect(editor.locator(".mask__pixels")).to_have_text("51 px")
    drag(page, "mask-canvas", (0.1, 0.1))
    expect(status).not_to_have_text("50 % of the picture is painted.")
    stage.press("Control+z")
    expect(status).to_have_text("50 % of the picture is painted.")
    show(page, "mask")
    expect_accessible(page, "#mask")

    # With the keyboard: the brush begins in the middle, and paints while Space is held.
    stage.press("Control+Shift+z")
    editor.get_by_role("button", name="Clear").press("Enter")
    expect(status).to_have_text("Nothing is painted.")
    editor.get_by_role("radio", name="Brush").check()
    stage.focus()
    stage.press("ArrowUp")
    stage.press(" ")
    expect(status).not_to_have_text("Nothing is painted.")
    editor.get_by_role("button", name="Paint whole picture").press("Enter")
    expect(status).to_have_text("The whole picture is painted.")
    for _ in range(4):
        stage.press("Control+z")
    expect(status).to_have_text("50 % of the picture is painted.")
    editor.get_by_role("button", name="Invert").press("Enter")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Keep painting").press("Enter")
    editor.get_by_role("button", name="Use mask").press("Enter")
    expect(editor).to_be_hidden()
    expect(page.get_by_alt_text("The mask")).to_be_visible()
    expect(paint).to_have_text("Edit mask")
    expect(paint).to_be_focused()

    page.reload()
    expect(page.get_by_alt_text("The mask")).to_be_visible()
    mask_id = page.locator("[name=mask_image]").input_value()
    mask = stored_mask(fakes, mask_id)
    assert mask.size == (128, 96)
    assert mask.getpixel((127, 48)) == (255, 255, 255, 255)
    assert mask.getpixel((0, 48)) == (0, 0, 0, 255)
    paint.click()
    expect(status).to_have_text("50 % of the picture is painted.")
    page.keyboard.press("Escape")
    expect(editor).to_be_hidden()

    page.get_by_test_id("prompt-input").fill("a fox")
    with page.expect_response("**/v1/tasks"):
        page.get_by_test_id("submit-button").click()
    body = fakes.submissions()[0]
    assert body["mask_image"] == mask_id
    task = fakes.completed_task("one", prompt="a fox") | {"image": body["image"], "maskImage": mask_id}
    page.evaluate("tasks => window.showTasks(tasks)", [task])
    page.get_by_role("button", name="Remove picture").click()
    expect(paint).to_be_hidden()
    assert page.locator("[name=mask_image]").input_value() == ""
    page.locator("[data-task-id=one]").get_by_test_id("reuse-button").press("Enter")
    page.get_by_role("button", name="Reuse all").press("Enter")
    expect(page.get_by_alt_text("The mask")).to_be_visible()
    assert page.locator("[name=mask_image]").input_value() == mask_id


def split(page: Page) -> str:
    value: str = page.get_by_test_id("compare-frame").evaluate(
        "frame => frame.style.getPropertyValue('--split')"
    )
    return value


def test_two_pictures_are_compared_from_a_selection_and_from_the_viewer(fakes: PageWithFakes) -> None:
    photo = fakes.api.upload(png(width=128, height=96)).get_json()
    wide = fakes.completed_task("wide", prompt="a wide picture", width=320, height=192, seed=5)
    edited = fakes.completed_task("edited", prompt="an edited photo", seed=6) | {"image": photo["id"]}
    page = fakes.open(tasks=[wide, edited])
    page.set_viewport_size({"width": 1280, "height": 800})
    dialog = page.get_by_role("dialog", name="Compare")
    divider, captions = dialog.get_by_role("slider", name="Divider"), dialog.locator(".compare__caption")

    boxes = page.get_by_test_id("select-task")
    boxes.nth(0).check()
    compare = page.get_by_test_id("selection-bar").get_by_role("button", name="Compare")
    expect(compare).to_have_attribute("aria-disabled", "true")
    boxes.nth(1).check()
    compare.press("Enter")
    expect(captions).to_have_text(
        ["a wide picturedemo · seed 5 · 320 × 192", "an edited photodemo · seed 6 · 256 × 256"]
    )
    expect(divider).to_be_focused()
    divider.press("ArrowRight")
    expect(divider).to_have_attribute("aria-valuetext", "51 % of the left picture")
    assert split(page) == "51%"
    drag(page, "compare-frame", (0.5, 0.5), (0.25, 0.5))
    expect(divider).to_have_value("25")
    # Pictures of different sizes have the same height or width here.
    images = dialog.locator("img")
    assert images.nth(0).bounding_box() == images.nth(1).bounding_box()
    show(page, "compare")
    expect_accessible(page, "#compare")
    dialog.get_by_role("button", name="Swap").press("Enter")
    expect(captions.first).to_contain_text("an edited photo")
    page.go_back()
    expect(dialog).to_be_hidden()
    expect(compare).to_be_focused()
    expect(page.get_by_test_id("selection-bar")).to_contain_text("2 tasks, 2 images")
    page.get_by_role("button", name="Done").press("Enter")

    page.get_by_role("img", name="an edited photo").click()
    expect(page.get_by_test_id("viewer-position")).to_have_text("2 of 2")
    page.keyboard.press("c")
    expect(captions).to_have_text(["Input picture128 × 96", "an edited photodemo · seed 6 · 256 × 256"])
    dialog.get_by_label("with").select_option("Previous image")
    expect(captions.first).to_contain_text("a wide picture")
    page.reload()
    expect(page.get_by_test_id("viewer-position")).to_have_text("2 of 2")
    expect(dialog).to_be_hidden()
    page.get_by_role("dialog").get_by_role("button", name="Compare").press("Enter")
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(page.get_by_test_id("viewer-position")).to_have_text("2 of 2")
    page.get_by_role("button", name="Close").press("Enter")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page).to_have_url(f"{ADDRESS}/")


RECORDED_NOTIFICATIONS = """
window.notifications = [];
window.permissionRequests = 0;
window.isHidden = false;
window.Notification = class extends EventTarget {
  static permission = sessionStorage.getItem("permission") ?? "default";
  static async requestPermission() {
    window.permissionRequests += 1;
    sessionStorage.setItem("permission", window.answer);
    return (this.permission = window.answer);
  }
  constructor(title, options) {
    super();
    Object.assign(this, { title, ...options, isClosed: false });
    window.notifications.push(this);
  }
  close() { this.isClosed = true; }
};
Object.defineProperty(document, "hidden", { get: () => window.isHidden });
window.setHidden = (isHidden) => {
  window.isHidden = isHidden;
  document.dispatchEvent(new Event("visibilitychange"));
};
"""
"""Records the browser's notifications, and lets the test set the permission and the visibility."""


def test_finished_tasks_are_notified_only_while_the_page_is_hidden(fakes: PageWithFakes) -> None:
    fakes.context.add_init_script(RECORDED_NOTIFICATIONS)
    done = [fakes.completed_task(name, prompt=f"{name} prompt") for name in ("third", "second", "first")]
    waiting = [task | {"status": "queued", "images": []} for task in done]
    page = fakes.open(tasks=waiting)
    page.set_viewport_size({"width": 1280, "height": 800})
    page.get_by_test_id("account-button").click()
    switch, message = (
        page.get_by_test_id("notify"),
        page.locator("#notify-message"),
    )
    expect(switch).not_to_be_checked()
    assert page.evaluate("window.permissionRequests") == 0
    page.evaluate("window.answer = 'denied'")
    switch.click()
    expect(message).to_contain_text("The browser has denied notifications for this page.")
    expect(switch).not_to_be_checked()
    show(page, "notifications-denied")
    expect_accessible(page, "#account-menu")
    page.evaluate("window.answer = 'granted'")
    switch.press("Space")
    expect(message).to_be_empty()
    expect(switch).to_be_checked()
    page.reload()
    expect(switch).to_be_checked()

    def finish(count: int) -> None:
        page.evaluate("tasks => window.showTasks(tasks)", [*waiting[:-count], *done[-count:]])

    expect(page.get_by_test_id("task-card")).to_have_count(3)
    finish(1)
    assert page.evaluate("window.notifications.length") == 0
    page.evaluate("window.setHidden(true)")
    finish(2)
    finish(3)
    shown = page.evaluate("window.notifications.map(({title, body, tag}) => [title, body, tag])")
    assert shown == [
        ["1 task done", "second prompt", "darkroom-finished"],
        ["2 tasks done", "third prompt", "darkroom-finished"],
    ]
    page.evaluate("window.notifications[1].dispatchEvent(new Event('click'))")
    expect(page).to_have_url(f"{ADDRESS}/#/t/third/1")
    expect(page.locator("#viewer-prompt")).to_have_text("third prompt")
    page.evaluate("window.setHidden(false)")
    assert page.evaluate("window.notifications[1].isClosed")


HELD_UPLOADS = """
window.held = [];
window.answered = [];
const send = window.fetch;
window.fetch = async (url, options) => {
  if (options?.method !== "POST" || !String(url).endsWith("v1/inputs")) return send(url, options);
  await new Promise((release) => { window.held.push(release); });
  const answer = await send(url, options);
  // Counted after the page has used the answer.
  const copy = new Response(await answer.text(), { status: answer.status });
  requestAnimationFrame(() => requestAnimationFrame(() => { window.answered.push(url); }));
  return copy;
};
"""
WAIT_UNTIL = """([name, count]) => new Promise((resolve) => {
  const check = () => { if (window[name].length === count) resolve(); else requestAnimationFrame(check); };
  check();
})"""
FIRST, SECOND = png(width=64, height=64, shade=10), png(width=96, height=64, shade=200)
FIRST_ID, SECOND_ID = (hashlib.sha256(data).hexdigest() for data in (FIRST, SECOND))


def open_with_held_uploads(fakes: PageWithFakes) -> Page:
    fakes.context.add_init_script(HELD_UPLOADS)
    page = fakes.open()
    page.locator("#settings").evaluate("details => { details.open = true; }")
    expect(page.get_by_test_id("submit-button")).to_be_enabled()
    return page


def choose(page: Page, data: bytes) -> None:
    """Choose a picture to start from. Its upload is held."""
    count = page.evaluate("held.length")
    file: FilePayload = {"name": "photo.png", "mimeType": "image/png", "buffer": data}
    page.get_by_test_id("image-input").set_input_files(file)
    page.evaluate(WAIT_UNTIL, ["held", count + 1])


def release(page: Page, number: int) -> None:
    """Let an upload end, and the page use it."""
    count = page.evaluate("answered.length")
    page.evaluate(f"held[{number}]()")
    page.evaluate(WAIT_UNTIL, ["answered", count + 1])


def chosen_image(page: Page) -> str:
    return page.locator("#form [name=image]").input_value()


def test_form_is_not_submitted_while_a_picture_is_uploaded(fakes: PageWithFakes) -> None:
    page = open_with_held_uploads(fakes)
    page.get_by_test_id("prompt-input").fill("a watercolor of this")
    choose(page, FIRST)
    page.get_by_test_id("submit-button").click()
    message = page.locator("#form-message")
    expect(message).to_have_text("A picture is being uploaded. Submit again when the form shows it.")
    release(page, 0)
    expect(message).to_be_empty()
    with page.expect_response("**/v1/tasks"):
        page.get_by_test_id("submit-button").click()
    assert [body.get("image") for body in fakes.submissions()] == [FIRST_ID]


def test_newest_picture_is_used_when_uploads_overtake_each_other(fakes: PageWithFakes) -> None:
    page = open_with_held_uploads(fakes)
    choose(page, FIRST)
    choose(page, SECOND)
    release(page, 1)
    assert chosen_image(page) == SECOND_ID
    release(page, 0)
    assert chosen_image(page) == SECOND_ID


@pytest.mark.parametrize("way", ["Remove", "Defaults", "Remix"])
def test_picture_does_not_return_when_its_upload_ends_late(fakes: PageWithFakes, way: str) -> None:
    task = fakes.completed_task("one", prompt="text only")
    page = open_with_held_uploads(fakes)
    choose(page, FIRST)
    if way == "Remove":
        page.locator("[data-field=image] [data-action=remove]").click()
        expect(page.get_by_test_id("image-input")).to_be_focused()
    elif way == "Defaults":
        page.locator("#reset").click()
    else:
        page.evaluate("tasks => window.showTasks(tasks)", [task])
        page.get_by_test_id("reuse-button").click()
        page.locator("#reuse-menu [data-reuse=remix]").click()
    expect(page.locator("[data-field=image] [role=status]")).to_be_empty()
    expect(page.locator("[data-field=image] [data-action=remove]")).to_be_hidden()
    release(page, 0)
    assert chosen_image(page) == ""
    with page.expect_response("**/v1/tasks"):
        page.get_by_test_id("prompt-input").fill("text only")
        page.get_by_test_id("submit-button").click()


def test_failed_upload_that_was_replaced_changes_nothing(fakes: PageWithFakes) -> None:
    page = open_with_held_uploads(fakes)
    choose(page, b"no picture")
    choose(page, SECOND)
    release(page, 1)
    release(page, 0)
    assert chosen_image(page) == SECOND_ID
    expect(page.get_by_test_id("image-input")).not_to_have_attribute("aria-invalid", "true")
    assert page.get_by_test_id("image-input").evaluate("input => input.files.length") == 1


def test_mask_is_not_used_with_another_picture(fakes: PageWithFakes) -> None:
    page = open_with_held_uploads(fakes)
    choose(page, FIRST)
    release(page, 0)
    choose(page, SECOND)
    page.locator("#paint-mask").click()
    field = page.locator("[data-field=mask_image]")
    expect(field).to_contain_text("Paint its mask when the form shows it.")
    release(page, 1)
    page.locator("#paint-mask").click()
    expect(page.get_by_test_id("mask-stage")).to_be_visible()
    page.evaluate(
        """bytes => {
          const dataTransfer = new DataTransfer();
          dataTransfer.items.add(new File([new Uint8Array(bytes)], "other.png", { type: "image/png" }));
          document.body.dispatchEvent(new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer }));
        }""",
        list(FIRST),
    )
    page.locator("#mask [data-action=fill]").click()
    # By a part of the page that does not know the editor.
    page.locator("#form [name=image]").evaluate("(input, id) => { input.value = id; }", FIRST_ID)
    page.locator("#mask [data-action=save]").click()
    expect(page.locator("#mask")).to_be_hidden()
    expect(field).to_contain_text("The mask was removed: it belongs to the earlier picture.")
    assert page.locator("#form [name=mask_image]").input_value() == ""
    assert page.evaluate("held.length") == 2, "the page ignores a drop beside the open editor"
