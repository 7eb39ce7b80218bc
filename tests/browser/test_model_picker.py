"""The dialog that shows the models with a picture and what each one offers."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from common.domain.models.catalog import DEMO_MODEL, ModelCatalog
from common.domain.models.lora import LoraSpec
from common.domain.models.model_files import ControlNetwork
from tests.browser.conftest import FEW_STEPS_MODEL, show, without_violations
from tests.browser.page_with_fakes import PageWithFakes

pytestmark = pytest.mark.browser

_NAMES = ("pixel", "ink", "clay", "chalk", "oil")
RICH_MODEL = DEMO_MODEL.model_copy(
    update={
        "name": "rich",
        "title": "Rich",
        "description": "",
        "example": None,
        "loras": tuple(LoraSpec(name=name, source=f"{name}.safetensors") for name in _NAMES),
        "controlnets": (ControlNetwork(name="edges", title="Edges", source="edges"),),
    }
)
CATALOG = ModelCatalog(models=(DEMO_MODEL, RICH_MODEL, FEW_STEPS_MODEL))


@pytest.fixture
def three_models(chromium: Browser) -> Iterator[PageWithFakes]:
    context = chromium.new_context()
    context.set_default_timeout(120_000)
    page = PageWithFakes(context, catalog=CATALOG)
    with without_violations(context):
        yield page
    context.close()
    page.close()


def open_picker(page: Page) -> Locator:
    page.locator("#settings[open]").wait_for()
    page.get_by_role("button", name="Compare models").press("Enter")
    dialog = page.get_by_role("dialog", name="Models")
    # The button loads the dialog's code with the first click.
    expect(dialog.get_by_role("radio", checked=True)).to_be_focused()
    return dialog


def picture_paths(fakes: PageWithFakes) -> list[str]:
    return [path for _, path, _ in fakes.requests if path.endswith(("/example", "/thumbnail"))]


def card(dialog: Locator, title: str) -> Locator:
    return dialog.locator(".model", has=dialog.page.get_by_role("radio", name=title))


def test_picker_shows_pictures_and_what_models_offer(three_models: PageWithFakes) -> None:
    task = three_models.completed_task("own", prompt="עיגול אדום גדול")
    page = three_models.open(tasks=[{**task, "model": "rich"}])
    expect(page.get_by_test_id("task-image")).to_be_visible()
    before = picture_paths(three_models)
    assert before == ["/v1/tasks/own/images/0/thumbnail"]
    dialog = open_picker(page)
    demo, rich, few_steps = (card(dialog, title) for title in ("Shapes", "Rich", "Few steps"))
    expect(demo.locator("img")).to_be_visible()
    expect(demo).to_contain_text("a large red circle above a small blue square")
    expect(demo.get_by_role("listitem")).to_have_text(
        ["Image-to-image", "Inpainting", "Negative prompt", "Weighted prompts"]
    )
    # Without an example: the user's own newest picture.
    expect(rich.locator("img")).to_be_visible()
    expect(rich).to_contain_text("עיגול אדום גדול")
    expect(rich.get_by_role("listitem").nth(2)).to_have_text("LoRAs: pixel, ink, clay and 2 more")
    expect(rich.get_by_role("listitem").nth(3)).to_have_text("ControlNet: Edges")
    expect(few_steps).to_contain_text("No picture yet")
    expect(few_steps).to_contain_text("1024 × 1024 px, sides from 256 to 1536 · 4 steps")
    expect(dialog.locator("img")).to_have_count(2)
    for width, height in ((1_280, 800), (375, 812), (320, 640)):
        page.set_viewport_size({"width": width, "height": height})
        assert dialog.evaluate("dialog => dialog.scrollWidth <= dialog.clientWidth")
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            show(page, f"model-picker-{width}-{scheme}")


def test_keyboard_and_pointer_choose_a_model(three_models: PageWithFakes) -> None:
    page = three_models.open()
    menu, button = page.locator("#model"), page.get_by_role("button", name="Compare models")
    dialog = open_picker(page)
    expect(dialog.get_by_role("radio", name="Shapes")).to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(dialog.get_by_role("radio", name="Few steps")).to_be_checked()
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(button).to_be_focused()
    expect(menu).to_have_value("demo")
    open_picker(page)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(dialog).to_be_hidden()
    expect(button).to_be_focused()
    expect(menu).to_have_value("rich")
    open_picker(page)
    expect(dialog.get_by_role("radio", name="Rich")).to_be_focused()
    card(dialog, "Few steps").click()
    expect(dialog).to_be_hidden()
    expect(menu).to_have_value("few-steps")
    expect(page.locator("#steps")).to_have_value("4")


def test_failed_example_is_replaced_by_the_own_picture(three_models: PageWithFakes) -> None:
    three_models.context.route(
        "**/v1/models/demo/example", lambda route: route.fulfill(status=404, body="{}")
    )
    page = three_models.open(tasks=[three_models.completed_task("own", prompt="a fox")])
    demo = card(open_picker(page), "Shapes")
    expect(demo.locator("img")).to_be_visible()
    expect(demo.locator(".model__prompt")).to_have_text("a fox")
