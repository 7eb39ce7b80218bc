"""The page and the operator page in a real browser."""

import hashlib
import json
import re
from pathlib import Path
from re import Pattern

import pytest
from google.pubsub_v1.types import PubsubMessage
from playwright.sync_api import Browser, BrowserContext, Locator, Page, Route, expect

from common.adapters.grpc_channels import publisher_client
from local_stack.loopback import free_port
from local_stack.settings import StackSettings
from local_stack.stack import LocalStack
from tests.browser.conftest import show
from tests.pictures import png
from tests.system.conftest import System

pytestmark = [pytest.mark.browser, pytest.mark.end_to_end]
PROMPT = "a large red circle above a small blue square on a white background"


def set_fields(page: Page, **fields: int) -> None:
    settings = page.locator("#settings")
    if settings.get_attribute("open") is None:
        settings.locator("summary").click()
    for name, value in fields.items():
        if name == "num_images":
            page.locator(f'#image-counts input[value="{value}"]').check()
        else:
            page.locator(f"#{name}").fill(str(value))


def submit(page: Page, prompt: str, **fields: int) -> Locator:
    """Enter a prompt, press the button, and return the new task's card."""
    page.get_by_test_id("prompt-input").fill(prompt)
    set_fields(page, **fields)
    with page.expect_response("**/v1/tasks") as answered:
        page.get_by_test_id("submit-button").click()
    return card_of(page, answered.value.json()["id"])


def card_of(page: Page, task_id: str) -> Locator:
    return page.locator(f'[data-testid="task-card"][data-task-id="{task_id}"]')


def test_card_shows_previews_and_then_the_image_without_polling(page: Page, system: System) -> None:
    requests: list[str] = []
    page.on("request", lambda request: requests.append(f"{request.method} {request.url}"))
    with system.held_engine(steps=30):
        card = submit(page, PROMPT, steps=60)
        expect(card.get_by_test_id("task-preview")).to_be_visible()
        show(page, "generating")
    expect(card).to_have_attribute("data-status", "completed")
    image = card.get_by_test_id("task-image")
    expect(image).to_be_visible()
    assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") == 256
    show(page, "finished")
    task_id = card.get_attribute("data-task-id")
    changes = page.evaluate("id => window.changes.filter(change => change.taskId === id)", task_id)
    steps = [change["step"] for change in changes if change["phase"] == "denoising"]
    assert steps
    assert steps == sorted(steps)
    # A queued task's position is requested; its state is not.
    lists = [line for line in requests if line.partition("?")[0] == f"GET {page.url}v1/tasks"]
    assert lists == []
    assert f"POST {page.url}v1/tasks" in requests


def test_page_shows_warnings_while_typing_and_on_the_card(page: Page) -> None:
    expect(page.locator("#model-hint")).to_contain_text("reads up to 30 tokens")
    page.get_by_test_id("prompt-input").fill("quixotic xylophone wyvern zeppelin oak a large red circle")
    expect(page.locator("#prompt-warning")).to_contain_text("the model reads 30")
    show(page, "warning")
    card = submit(page, "quixotic xylophone wyvern zeppelin oak a large blue square", steps=2)
    expect(card.get_by_test_id("task-warnings")).to_contain_text("large blue square")
    page.get_by_test_id("prompt-input").fill(PROMPT)
    expect(page.locator("#prompt-warning")).to_be_empty()
    fine = submit(page, PROMPT, steps=2)
    expect(fine).to_have_attribute("data-status", "completed")
    expect(fine).to_contain_text("demo")
    expect(fine.get_by_test_id("task-warnings")).to_be_hidden()


def test_form_keeps_values_typed_before_the_models_are_loaded(context: BrowserContext) -> None:
    page = context.new_page()
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/v1/models", hold)
    with page.expect_request("**/v1/models"):
        page.goto("/")
    page.get_by_test_id("prompt-input").fill(PROMPT)
    set_fields(page, steps=7)
    expect(page.get_by_test_id("submit-button")).to_be_disabled()
    page.get_by_test_id("prompt-input").press("Control+Enter")
    expect(page.locator("#form-message")).to_have_text("The models are loading. Submit again in a moment.")
    held[0].continue_()
    expect(page.locator("#form-message")).to_be_empty()
    with page.expect_request("**/v1/tasks") as asked:
        page.get_by_test_id("submit-button").click()
    body = json.loads(asked.value.post_data or "")
    assert (body["prompt"], body["steps"]) == (PROMPT, 7)


def test_form_follows_the_chosen_model(page: Page) -> None:
    expect(page.locator("#model-facts")).to_contain_text("Its tasks share denoising steps.")
    page.locator("#model").select_option("few-steps")
    expect(page.locator("#model-hint")).to_contain_text("Draws in four steps")
    expect(page.locator("#model-facts")).to_contain_text(
        "Guidance and negative prompts have no effect on it."
    )
    for hidden in ("#guidance_scale", "#negative_prompt"):
        expect(page.locator(hidden)).to_be_hidden()
    expect(page.locator("#sampler option")).to_have_text(["Model's own"])
    expect(page.locator("#steps")).to_have_value("4")
    expect(page.locator("#steps-range")).to_have_text("1 to 8")
    expect(page.locator("#size-range")).to_have_text("256 to 1536 in multiples of 16")
    page.get_by_role("radio", name="4:3").check()
    page.get_by_test_id("prompt-input").fill(PROMPT)
    show(page, "few-steps")
    page.route("**/v1/tasks", lambda route: route.fulfill(status=202, json={"id": "not-created"}))
    with page.expect_request("**/v1/tasks") as asked:
        page.get_by_test_id("submit-button").click()
    assert json.loads(asked.value.post_data or "") == {
        "prompt": PROMPT,
        "model": "few-steps",
        "steps": 4,
        "sampler": "own",
        "width": 1152,
        "height": 896,
        "num_images": 1,
        "output_format": "png",
    }


def test_form_adapts_chosen_values_to_another_model_and_restores_them(page: Page) -> None:
    chosen = {"negative_prompt": "blue", "steps": "60", "guidance_scale": "4", "seed": "7"}
    for name, value in chosen.items():
        page.locator(f"#{name}").fill(value)
    page.locator("#sampler").select_option("dpmpp_2m_karras")
    page.get_by_role("radio", name="9:16").check()
    page.locator("#model").select_option("few-steps")
    expect(page.locator("#steps")).to_have_value("8")
    expect(page.locator("#steps-note")).to_have_text("Changed from 60: this model accepts 1 to 8.")
    expect(page.locator("#sampler-note")).to_contain_text("DPM++ 2M Karras")
    expect(page.locator("#width-note")).to_contain_text("size of 9:16")
    expect(page.locator("#seed")).to_have_value("7")
    expect(page.locator("#height")).to_have_value("1344")
    show(page, "adapted")
    page.reload()
    expect(page.locator("#steps")).to_have_value("8")
    page.locator("#model").select_option("demo")
    for name, value in (chosen | {"width": "192", "height": "320"}).items():
        expect(page.locator(f"#{name}")).to_have_value(value)
    expect(page.locator("#sampler")).to_have_value("dpmpp_2m_karras")
    expect(page.locator("#steps-note")).to_be_hidden()


def test_page_marks_a_model_that_no_worker_serves(chromium: Browser, tmp_path: Path) -> None:
    with LocalStack(StackSettings(data_directory=tmp_path, workers=0)) as stack:
        page = chromium.new_page(base_url=stack.page_url)
        page.goto("/")
        expect(page.locator("#model option")).to_contain_text("(no worker)")
        expect(page.locator("#model-hint")).to_contain_text("No worker serves this model")
        card = submit(page, PROMPT)
        expect(page.locator("#form-message")).to_contain_text("no worker serves this model")
        expect(card).to_contain_text("no worker serves this model")
        show(page, "no_worker")
        page.close()


def test_page_receives_changes_after_a_restart_of_the_firestore_emulator(
    page: Page, running_stack: LocalStack
) -> None:
    before = submit(page, PROMPT, steps=2)
    expect(before).to_have_attribute("data-status", "completed")
    running_stack.restart("firestore-emulator")
    after = submit(page, PROMPT, steps=2)
    expect(after).to_have_attribute("data-status", "completed")
    expect(before).to_be_visible()


def abort(route: Route) -> None:
    route.abort()


def firestore_addresses(stack: LocalStack) -> Pattern[str]:
    """Return a pattern of the URLs of Firestore's port, with each of its host names."""
    port = stack.environment["DARKROOM_FIRESTORE_BROWSER_HOST"].rpartition(":")[2]
    return re.compile(rf"^http://[^/]+:{port}/")


def without_firestore(context: BrowserContext, stack: LocalStack) -> Page:
    """Return the open page in a network that blocks Firestore's port."""
    context.route(firestore_addresses(stack), abort)
    page = context.new_page()
    page.goto("/")
    expect(page.get_by_test_id("connection-state")).to_have_attribute("data-source", "api")
    return page


def test_page_works_through_the_api_alone(context: BrowserContext, system: System) -> None:
    page = without_firestore(context, system.stack)
    expect(page.get_by_test_id("connection-state")).to_contain_text("Connected through the API")
    with system.held_engine(steps=30):
        card = submit(page, PROMPT, steps=60)
        expect(card.get_by_test_id("task-preview")).to_be_visible()
    expect(card).to_have_attribute("data-status", "completed")
    expect(card.get_by_test_id("task-image")).to_be_visible()
    show(page, "through-the-api")
    elsewhere = page.request.post("/v1/tasks", data={"prompt": "from elsewhere", "steps": 2}).json()["id"]
    expect(card_of(page, elsewhere)).to_have_attribute("data-status", "completed")
    page.request.delete(f"/v1/tasks/{elsewhere}")
    expect(card_of(page, elsewhere)).to_have_count(0)
    page.reload()
    expect(card_of(page, str(card.get_attribute("data-task-id")))).to_be_visible()


def test_page_returns_to_firestore_when_it_is_reachable(
    context: BrowserContext, running_stack: LocalStack
) -> None:
    page = without_firestore(context, running_stack)
    context.unroute_all()
    expect(page.get_by_test_id("connection-state")).to_have_attribute("data-source", "firestore")


def test_open_page_returns_to_firestore_after_a_restart_of_the_stack(
    chromium: Browser, tmp_path: Path
) -> None:
    settings = StackSettings(data_directory=tmp_path, port=free_port(), workers=0)
    with LocalStack(settings) as stack:
        page = chromium.new_page(base_url=stack.page_url)
        page.goto("/")
        state = page.get_by_test_id("connection-state")
        expect(state).to_have_attribute("data-source", "firestore")
    expect(state).not_to_have_attribute("data-source", "firestore")
    with LocalStack(settings):
        expect(state).to_have_attribute("data-source", "firestore")
        page.close()


def test_submitted_task_is_shown_before_any_update(
    context: BrowserContext, running_stack: LocalStack
) -> None:
    context.route("**/v1/tasks:events*", abort)
    context.route(firestore_addresses(running_stack), abort)
    page = context.new_page()
    page.goto("/")
    expect(submit(page, PROMPT, steps=2)).to_be_visible()


def test_page_starts_by_itself_once_the_service_responds(context: BrowserContext) -> None:
    page = context.new_page()
    page.route("**/config.json", abort)
    page.goto("/")
    state = page.get_by_test_id("connection-state")
    expect(state).to_have_attribute("data-state", "offline")
    expect(page.get_by_role("button", name="Try again")).to_be_visible()
    page.unroute_all()
    expect(state).to_have_attribute("data-state", "live")


def test_page_reconnects_when_the_browser_is_online_again(page: Page) -> None:
    state = page.get_by_test_id("connection-state")
    expect(state).to_have_attribute("data-state", "live")
    page.context.set_offline(True)
    expect(state).to_have_attribute("data-state", "offline")
    page.context.set_offline(False)
    expect(state).to_have_attribute("data-state", "live")


def test_cancel_button_cancels_a_running_task(page: Page, system: System) -> None:
    with system.held_engine():
        card = submit(page, PROMPT, steps=100)
        card.get_by_test_id("cancel-button").click()
        expect(card).to_have_attribute("data-status", "cancelled")


def test_download_button_saves_the_stored_image(
    page: Page, tmp_path: Path, running_stack: LocalStack
) -> None:
    card = submit(page, PROMPT, steps=2)
    expect(card).to_have_attribute("data-status", "completed")
    with page.expect_download() as started:
        card.get_by_test_id("download-button").click()
    started.value.save_as(tmp_path / "image")
    task_id = card.get_attribute("data-task-id")
    stored = page.request.get(f"/v1/tasks/{task_id}").json()["images"][0]
    assert hashlib.sha256((tmp_path / "image").read_bytes()).hexdigest() == stored["sha256"]


def test_delete_button_removes_the_task_from_all_open_pages(
    page: Page, chromium: Browser, running_stack: LocalStack
) -> None:
    card = submit(page, PROMPT, steps=2)
    task_id = card.get_attribute("data-task-id")
    elsewhere = chromium.new_page(base_url=running_stack.page_url)
    elsewhere.goto("/")
    twin = card_of(elsewhere, str(task_id))
    expect(twin).to_be_visible()
    expect(card).to_have_attribute("data-status", "completed")
    card.get_by_test_id("delete-button").click()  # asks for confirmation
    card.get_by_test_id("delete-button").click()
    expect(twin).to_have_count(0)
    elsewhere.close()


def test_reuse_menu_fills_the_seed_field(page: Page) -> None:
    card = submit(page, PROMPT, steps=2)
    expect(card).to_have_attribute("data-status", "completed")
    task_id = card.get_attribute("data-task-id")
    seed = page.request.get(f"/v1/tasks/{task_id}").json()["parameters"]["seed"]
    card.get_by_test_id("reuse-button").click()
    page.get_by_role("button", name="Reuse seed").click()
    expect(page.get_by_test_id("seed-input")).to_have_value(str(seed))


def test_reused_settings_are_adapted_if_their_model_is_not_offered(
    page: Page, context: BrowserContext
) -> None:
    card = submit(page, PROMPT, steps=20)
    expect(card.get_by_test_id("task-image")).to_be_visible()
    models = page.request.get("/v1/models").json()["models"]
    offered = {"models": [model for model in models if model["name"] == "few-steps"]}
    later = context.new_page()
    later.route("**/v1/models", lambda route: route.fulfill(json=offered))
    later.goto("/")
    card_of(later, str(card.get_attribute("data-task-id"))).get_by_role("img").click()
    later.get_by_role("dialog").get_by_role("button", name="Reuse all").click()
    expect(later.locator("#model")).to_have_value("few-steps")
    expect(later.locator("#steps")).to_have_value("8")
    expect(later.locator("#steps-note")).to_contain_text("Changed from 20")
    expect(later.get_by_test_id("seed-input")).not_to_be_empty()


def test_form_shows_an_error_at_an_invalid_field(page: Page) -> None:
    page.get_by_test_id("prompt-input").fill("x")
    set_fields(page, steps=5000)
    page.get_by_test_id("submit-button").click()
    expect(page.locator("#steps-error")).to_have_text("Must be between 1 and 100.")


def test_value_typed_before_the_models_are_loaded_is_not_adapted(context: BrowserContext) -> None:
    opened = context.new_page()
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    opened.route("**/v1/models", hold)
    with opened.expect_request("**/v1/models"):
        opened.goto("/")
    opened.get_by_test_id("prompt-input").fill("x")
    set_fields(opened, steps=5000)
    held[0].continue_()
    opened.get_by_test_id("submit-button").click()
    expect(opened.locator("#steps-error")).to_have_text("Must be between 1 and 100.")


def test_form_sends_an_uploaded_picture_and_the_chosen_lora(context: BrowserContext) -> None:
    page, picture = context.new_page(), png(width=128, height=96)
    ink = {"name": "ink", "title": "Ink", "trigger": "", "scale": 1.0, "min_scale": -2.0, "max_scale": 2.0}

    def offer(route: Route) -> None:
        models = route.fetch().json()["models"]
        offered = [{**models[0], "inputs": ["text", "image", "mask"], "loras": [ink]}, *models[1:]]
        route.fulfill(json={"models": offered})

    page.route("**/v1/models", offer)
    page.goto("/")
    page.get_by_test_id("prompt-input").fill(PROMPT)
    set_fields(page)
    chooser = page.get_by_test_id("image-input")
    expect(chooser).to_be_visible()
    expect(page.get_by_test_id("mask-input")).to_be_hidden()
    chooser.set_input_files({"name": "notes.png", "mimeType": "image/png", "buffer": b"not a picture"})
    expect(page.locator("#image-error")).to_have_text("The file must be a PNG, JPEG or WebP.")
    chooser.set_input_files({"name": "photo.png", "mimeType": "image/png", "buffer": picture})
    expect(page.get_by_alt_text("The picture to start from")).to_be_visible()
    expect(page.locator("#image-error")).to_be_empty()
    expect(page.get_by_test_id("mask-input")).to_be_visible()
    show(page, "picture-and-lora")
    page.get_by_label("Ink", exact=True).check()
    page.get_by_label("Scale of Ink").fill("0.5")
    with page.expect_request("**/v1/tasks") as asked:
        page.get_by_test_id("submit-button").click()
    body = json.loads(asked.value.post_data or "")
    assert (body["image"], body["strength"]) == (hashlib.sha256(picture).hexdigest(), 0.8)
    assert body["loras"] == [{"name": "ink", "scale": 0.5}]
    assert "mask_image" not in body
    page.get_by_role("button", name="Remove picture").click()
    expect(page.locator("#strength")).to_be_hidden()


def test_page_links_to_the_reference_and_the_operator_page(page: Page) -> None:
    footer = page.get_by_role("contentinfo")
    expect(footer.get_by_role("link", name="API reference")).to_have_attribute("href", "docs")
    expect(footer.get_by_role("link", name="Operations")).to_have_attribute("href", "operator")


# ── the operator page ────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def operator_page(context: BrowserContext) -> Page:
    """The open operator page, with data."""
    opened = context.new_page()
    opened.goto("/operator")
    expect(opened.get_by_test_id("connection-state")).to_have_attribute("data-state", "live")
    return opened


def figure(page: Page, name: str) -> Locator:
    return page.get_by_test_id(f"figure-{name}")


def alert(page: Page, name: str) -> Locator:
    return page.locator(f'[data-testid="alert"][data-name="{name}"]')


def publish_unreadable_message(stack: LocalStack) -> None:
    environment = stack.environment
    topic = f"projects/{environment['DARKROOM_PROJECT_ID']}/topics/{environment['DARKROOM_TASKS_TOPIC']}"
    messages = [PubsubMessage(data=b"not a task", attributes={"model": "demo"})]
    publisher = publisher_client(emulator_host=environment["PUBSUB_EMULATOR_HOST"])
    publisher.publish(topic=topic, messages=messages, timeout=60)


def test_operator_page_shows_queue_and_workers(operator_page: Page, system: System) -> None:
    page = operator_page
    expect(page.get_by_test_id("worker-row")).to_have_count(1)
    expect(page.get_by_test_id("worker-row")).to_contain_text("demo")
    expect(figure(page, "workers")).to_have_text("1")
    expect(figure(page, "oldest")).to_have_text("–")
    with system.held_engine():
        submitted = [
            page.request.post("/v1/tasks", data={"prompt": PROMPT, "steps": 100}).json()["id"]
            for _ in range(30)
        ]
        expect(figure(page, "queued")).not_to_have_text("0")
        expect(figure(page, "processing")).not_to_have_text("0")
        show(page, "operator")
        for task_id in submitted:
            page.request.post(f"/v1/tasks/{task_id}/cancel")
    expect(figure(page, "queued")).to_have_text("0")
    expect(figure(page, "processing")).to_have_text("0")


def test_dead_letter_fires_an_alert_until_it_is_deleted_by_keyboard(
    operator_page: Page, running_stack: LocalStack
) -> None:
    page = operator_page
    dead_letters = alert(page, "dead_letters")
    expect(dead_letters).to_have_attribute("data-state", "ok")
    expect(dead_letters.get_by_role("heading")).to_have_text("Dead letters")
    publish_unreadable_message(running_stack)
    expect(dead_letters).to_have_attribute("data-state", "firing")
    expect(page.get_by_test_id("summary")).to_have_attribute("data-state", "firing")
    expect(page.get_by_test_id("summary")).to_contain_text("Dead letters: firing.")
    assert page.title().startswith("(")
    dead_letters.locator("summary").focus()
    page.keyboard.press("Enter")
    expect(dead_letters.locator(".advice")).to_contain_text("dead-letters list")
    letter = page.get_by_test_id("dead-letter")
    expect(letter).to_contain_text("body is not JSON")
    show(page, "operator-firing")
    letter.get_by_test_id("delete-letter-button").focus()
    page.keyboard.press("Enter")  # asks for confirmation
    expect(letter.get_by_test_id("delete-letter-button")).to_have_text("Confirm delete")
    page.keyboard.press("Enter")
    expect(letter).to_have_count(0)
    expect(dead_letters).to_have_attribute("data-state", "ok")


def test_operator_page_shows_that_its_data_is_outdated(operator_page: Page) -> None:
    page = operator_page
    page.route("**/v1/operations", lambda route: route.abort())
    expect(page.get_by_test_id("connection-state")).to_have_attribute("data-state", "offline")
    expect(page.get_by_test_id("notice")).to_contain_text("The API does not respond.")
    expect(page.get_by_test_id("summary")).to_contain_text("Status unknown.")
    expect(page.get_by_test_id("summary")).to_have_attribute("data-state", "unknown")
    page.unroute("**/v1/operations")
    expect(page.get_by_test_id("connection-state")).to_have_attribute("data-state", "live")
    expect(page.get_by_test_id("notice")).to_be_hidden()


def test_operator_page_denies_access_to_non_operators(context: BrowserContext) -> None:
    page = context.new_page()
    refusal = {
        "status": 403,
        "code": "forbidden",
        "title": "Forbidden",
        "detail": "only an operator may do this",
    }
    page.route("**/v1/operations", lambda route: route.fulfill(status=403, json=refusal))
    page.goto("/operator")
    expect(page.get_by_test_id("notice")).to_contain_text("This page is only for operators")
    expect(page.get_by_test_id("summary")).to_contain_text("Access denied.")
    expect(figure(page, "queued")).to_be_hidden()
    page.unroute("**/v1/operations")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_test_id("connection-state")).to_have_attribute("data-state", "live")


@pytest.mark.parametrize("width", [720, 1100, 1280])
def test_operator_page_shows_whole_tables(operator_page: Page, width: int) -> None:
    operator_page.set_viewport_size({"width": width, "height": 900})
    show(operator_page, f"operator-{width}")
    overflows = operator_page.locator(".table").evaluate_all(
        "tables => tables.map(table => table.scrollWidth - table.parentElement.clientWidth)"
    )
    assert max(overflows) <= 0


def test_operator_page_fits_a_narrow_screen(operator_page: Page) -> None:
    operator_page.set_viewport_size({"width": 360, "height": 740})
    assert operator_page.evaluate("document.documentElement.scrollWidth") <= 360
    # The rows are displayed as blocks, but screen readers still find a table.
    expect(operator_page.get_by_role("table", name="Workers").get_by_role("row")).to_have_count(2)
    show(operator_page, "operator-narrow")


# ── the API reference ────────────────────────────────────────────────────────────────────────────────────


def test_docs_page_renders_the_reference_without_external_requests(context: BrowserContext) -> None:
    page = context.new_page()
    urls: list[str] = []
    messages: list[str] = []
    page.on("request", lambda request: urls.append(request.url))
    page.on("console", lambda message: messages.append(message.text))
    page.add_init_script(
        "addEventListener('securitypolicyviolation', event => console.error(event.violatedDirective))"
    )
    page.goto("/problems/quota-exceeded")
    expect(page.get_by_role("cell", name="Quota exceeded")).to_be_in_viewport()
    show(page, "docs-problem")
    page.get_by_placeholder("Filter").fill("cancel")
    page.get_by_role("link", name="Cancel a task").click()
    expect(page.get_by_text("/v1/tasks/{task_id}/cancel")).to_be_visible()
    show(page, "docs-operation")
    page.evaluate("location.hash = '#unknown'")
    expect(page.get_by_role("cell", name="Quota exceeded")).to_be_visible()
    origin = page.evaluate("location.origin")
    assert [url for url in urls if not url.startswith(f"{origin}/")] == []
    assert messages == []
