"""Sign-in, API keys, and links to pictures on the page."""

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import show
from tests.browser.page_with_fakes import ADDRESS, PageWithFakes
from tests.pictures import png
from tests.unit.frontend_api.conftest import signed_in_as

pytestmark = pytest.mark.browser
ACCOUNTS = """
let listener;
const report = () => {
  const email = localStorage.getItem("account");
  listener(email && { userId: email, email, token: () => Promise.resolve(null) });
};
addEventListener("storage", ({ key }) => { if (key === "account") report(); });
export function firebaseAuth() {
  return {
    isOffered: true,
    subscribe(onChange) { listener = onChange; report(); },
    async signIn() {
      const account = await window.nextAccount();
      if (account.startsWith("auth/")) throw { code: account };
      localStorage.setItem("account", account);
      report();
    },
    async signOut() {
      localStorage.removeItem("account");
      report();
    },
  };
}
"""
"""Firebase Auth, whose session all tabs share. `window.nextAccount` returns whom it signs in, or a code of an error."""
REASON = "the account bob@example.com is not admitted to this service"


def looks(page: Page, name: str) -> None:
    """Save screenshots of a phone and of a desktop, light and dark, if SCREENSHOTS names a folder."""
    before = page.viewport_size
    for width, height in ((375, 667), (1280, 800)):
        for scheme in ("light", "dark"):
            page.set_viewport_size({"width": width, "height": height})
            page.emulate_media(color_scheme=scheme)
            show(page, f"{name}-{width}-{scheme}")
    if before is not None:
        page.set_viewport_size(before)


def open_with_sign_in(fakes: PageWithFakes, *accounts: str, path: str = "/") -> tuple[Page, list[bool]]:
    """Open a page that requires sign-in. The service admits no user until the list is not empty."""
    allowed: list[bool] = []
    firebase = {"apiKey": "k", "authDomain": "d", "projectId": "demo-page", "appId": "a"}

    def models(route: Route) -> None:
        if allowed:
            route.fallback()
            return
        problem = {"title": "User not allowed", "status": 403, "code": "user_not_allowed", "detail": REASON}
        route.fulfill(status=403, content_type="application/problem+json", json=problem)

    configuration = {"project_id": "demo-page", "firebase": firebase, "firestore_emulator": None}
    fakes.context.route("**/config.json", lambda route: route.fulfill(json=configuration))
    fakes.context.route(
        "**/assets/firebase_auth-*.js",
        lambda route: route.fulfill(body=ACCOUNTS, content_type="text/javascript"),
    )
    fakes.context.route("**/v1/models", models)
    rest = iter(accounts)
    fakes.context.expose_function("nextAccount", lambda: next(rest))
    page = fakes.context.new_page()
    page.goto(f"{ADDRESS}{path}")
    return page, allowed


def test_user_signs_in_is_refused_chooses_another_account_and_signs_out(fakes: PageWithFakes) -> None:
    page, allowed = open_with_sign_in(
        fakes, "auth/popup-blocked", "bob@example.com", "bob@example.com", "ada@example.com"
    )
    welcome, sign_in = page.locator("#welcome"), page.locator("#sign-in")
    expect(sign_in).to_have_text("Sign in with Google")
    expect(page.locator("#main")).to_be_hidden()
    expect(page.get_by_test_id("account-button")).to_be_hidden()
    looks(page, "sign-in")

    sign_in.click()
    expect(welcome).to_contain_text("Permit pop-ups for this page")
    sign_in.click()
    expect(page.get_by_role("heading", name="You don't have access")).to_be_focused()
    expect(welcome).to_contain_text("The account bob@example.com is not admitted to this service.")
    expect(page.locator("#main")).to_be_hidden()
    looks(page, "no-access")
    page.get_by_role("button", name="Try again").click()
    expect(welcome).to_contain_text("This account still has no access.")
    allowed.append(True)
    page.get_by_role("button", name="Use another account").click()
    expect(page.locator("#main")).to_be_visible()
    expect(welcome).to_be_hidden()

    page.get_by_test_id("account-button").click()
    expect(page.locator("#account-name")).to_have_text("bob@example.com")
    looks(page, "account-menu")
    page.get_by_role("button", name="Sign out").click()
    expect(welcome).to_be_visible()
    expect(page.locator("#main")).to_be_hidden()
    sign_in.click()
    page.get_by_test_id("account-button").click()
    expect(page.locator("#account-name")).to_have_text("ada@example.com")


SECRET = "the prompt of ada"
RECORDED_NOTIFICATION = """
window.Notification = class extends EventTarget {
  static permission = "granted";
  static requestPermission() { return Promise.resolve("granted"); }
  constructor() {
    super();
    localStorage.setItem("notification", "open");
  }
  close() { localStorage.setItem("notification", "closed"); }
};
window.setHidden = () => {
  Object.defineProperty(document, "hidden", { get: () => true });
  document.dispatchEvent(new Event("visibilitychange"));
};
"""


def change_session(page: Page, account: str | None) -> None:
    """Sign in another account, or none, as another tab does."""
    # The browser sends the event to the other tabs only.
    page.evaluate(
        """account => {
          if (account === null) localStorage.removeItem("account");
          else localStorage.setItem("account", account);
          dispatchEvent(new StorageEvent("storage", { key: "account" }));
        }""",
        account,
    )


def stored(page: Page) -> str:
    return page.evaluate("JSON.stringify([{ ...sessionStorage }, { ...localStorage }])")


def expect_nothing_of_ada(page: Page) -> None:
    expect(page.get_by_test_id("prompt-input")).to_have_value("")
    expect(page.locator("#seed")).to_have_value("")
    expect(page.locator("#form [name=image]")).to_have_value("")
    expect(page.locator("[data-field=image] img")).to_be_hidden()
    expect(page.locator("dialog[open]")).to_have_count(0)
    expect(page.get_by_test_id("new-key")).to_have_value("")
    expect(page.get_by_test_id("task-card")).to_have_count(0)
    expect(page).to_have_url(f"{ADDRESS}/")
    assert SECRET not in page.locator("html").inner_html()


@pytest.mark.parametrize("way", ["signs out", "is replaced"])
def test_nothing_of_a_user_is_left_for_the_next_one(fakes: PageWithFakes, way: str) -> None:
    fakes.context.add_init_script(RECORDED_NOTIFICATION)
    form, allowed = open_with_sign_in(fakes, "ada@example.com", "bob@example.com")
    allowed.append(True)
    form.locator("#sign-in").click()
    expect(form.locator("#submit")).to_be_enabled()
    form.get_by_test_id("prompt-input").fill(SECRET)
    form.locator("#settings").evaluate("details => { details.open = true; }")
    form.get_by_test_id("seed-input").fill("1815")
    form.get_by_test_id("image-input").set_input_files(
        {"name": "photo.png", "mimeType": "image/png", "buffer": png(width=64, height=64)}
    )
    expect(form.locator("[data-field=image] img")).to_be_visible()
    picture = form.locator("#form [name=image]").input_value()
    assert SECRET in stored(form)
    assert picture in stored(form)

    # Other tabs show a picture with its prompt, and a new API key; a notification about a task is open.
    viewer, keys = fakes.context.new_page(), fakes.context.new_page()
    task = fakes.completed_task("one", prompt=SECRET)
    unfinished = task | {"status": "processing", "images": []}
    for page, tasks in ((viewer, [task]), (keys, [unfinished])):
        page.goto(ADDRESS)
        expect(page.locator("#submit")).to_be_enabled()
        page.evaluate("tasks => window.showTasks(tasks)", tasks)
    viewer.get_by_role("img", name=SECRET).click()
    expect(viewer.locator("#viewer-prompt")).to_have_text(SECRET)
    keys.get_by_test_id("account-button").click()
    keys.get_by_test_id("notify").check()
    keys.get_by_role("button", name="API keys").click()
    dialog = keys.get_by_role("dialog", name="API keys")
    dialog.get_by_label("Name").fill("nightly batch")
    dialog.get_by_role("button", name="Create key").click()
    expect(keys.get_by_test_id("new-key")).not_to_have_value("")
    keys.evaluate("window.setHidden()")
    keys.evaluate("tasks => window.showTasks(tasks)", [task])
    assert keys.evaluate("localStorage.notification") == "open"

    pages = (form, viewer, keys)
    if way == "signs out":
        form.get_by_test_id("account-button").click()
        form.get_by_role("button", name="Sign out").click()
        for page in pages:
            expect(page.locator("#welcome")).to_be_visible()
            expect_nothing_of_ada(page)
            assert "draft" not in stored(page)
        form.locator("#sign-in").click()
    else:
        change_session(form, "bob@example.com")
    for page in pages:
        expect(page.locator("#account-name")).to_have_text("bob@example.com")
        expect(page.locator("#submit")).to_be_enabled()
        expect_nothing_of_ada(page)
    assert keys.evaluate("localStorage.notification") == "closed"
    form.get_by_test_id("prompt-input").fill("a prompt of bob")
    for page in pages:
        assert "a prompt of bob" in stored(page)
        assert SECRET not in stored(page)
        assert picture not in stored(page)


def signed_in_page(fakes: PageWithFakes, *accounts: str) -> Page:
    """Open the page, and sign in the first of these accounts."""
    page, allowed = open_with_sign_in(fakes, *accounts)
    allowed.append(True)
    page.locator("#sign-in").click()
    expect(page.locator("#submit")).to_be_enabled()
    return page


def sign_out(page: Page) -> None:
    page.get_by_test_id("account-button").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.locator("#welcome")).to_be_visible()


def test_forward_leads_to_no_picture_of_a_former_user(fakes: PageWithFakes) -> None:
    page = signed_in_page(fakes, "ada@example.com")
    page.evaluate("tasks => window.showTasks(tasks)", [fakes.completed_task("one", prompt=SECRET)])
    page.get_by_role("img", name=SECRET).click()
    expect(page).to_have_url(f"{ADDRESS}/#/t/one/1")
    page.keyboard.press("Escape")
    expect(page).to_have_url(f"{ADDRESS}/")
    assert page.evaluate("navigation.canGoForward")
    sign_out(page)
    expect(page).to_have_url(f"{ADDRESS}/")
    assert not page.evaluate("navigation.canGoForward")


def test_reference_keeps_no_api_key_for_the_next_user(fakes: PageWithFakes) -> None:
    page = signed_in_page(fakes, "ada@example.com")
    reference = fakes.context.new_page()
    reference.goto(f"{ADDRESS}/docs#?route=auth")
    remove = reference.get_by_role("button", name="Remove")
    reference.locator("openapi-explorer input.api-key-input").first.fill("dk_key_of_ada")
    reference.get_by_role("button", name="Set").first.click()
    expect(remove).to_have_count(1)
    # Another page of the same user changes nothing.
    other = fakes.context.new_page()
    other.goto(ADDRESS)
    expect(other.locator("#submit")).to_be_enabled()
    expect(remove).to_have_count(1)
    sign_out(page)
    expect(remove).to_have_count(0)
    expect(reference.get_by_placeholder("Filter")).to_be_visible()


def test_operator_page_shows_nothing_after_its_user_has_gone(fakes: PageWithFakes) -> None:
    letter = {
        "id": "first", "died_at": "2026-01-01T12:00:00Z", "reason": "first reason", "task_id": "one",
        "is_replayable": True, "replayed_at": None, "subscription": None, "delivery_count": None,
    }  # fmt: skip
    letters = {"dead_letters": [letter], "next_page_token": None}
    fakes.context.set_extra_http_headers(signed_in_as("olga"))
    fakes.context.route("**/v1/dead-letters?*", lambda route: route.fulfill(json=letters))
    page, _ = open_with_sign_in(fakes, "olga@example.com", path="/operator")
    page.locator("#sign-in").click()
    expect(page.get_by_test_id("dead-letter")).to_have_count(1)
    change_session(page, None)
    expect(page.get_by_test_id("dead-letter")).to_have_count(0)
    expect(page.locator("#welcome")).to_be_visible()
    expect(page.locator("#main")).to_be_hidden()


def test_created_api_key_works_until_it_is_revoked(fakes: PageWithFakes) -> None:
    page = fakes.open()
    page.get_by_test_id("account-button").click()
    page.get_by_role("button", name="API keys").click()
    dialog = page.get_by_role("dialog", name="API keys")
    dialog.get_by_label("Name").fill("nightly batch")
    dialog.get_by_label("Read: tasks").uncheck()
    dialog.get_by_role("button", name="Create key").click()
    shown = page.get_by_test_id("new-key")
    expect(shown).to_be_visible()
    key = shown.input_value()
    dialog.get_by_role("button", name="Copy key").click()
    expect(dialog.get_by_role("status")).to_have_text("Key copied.")
    assert page.evaluate("navigator.clipboard.readText()") == key
    item = page.get_by_test_id("key-list").get_by_role("listitem")
    expect(item).to_contain_text("nightly batch")
    expect(item).to_contain_text("submit; created")
    looks(page, "api-keys")
    client = fakes.api.app.test_client()
    body = {"prompt": "a large red circle"}
    assert client.post("/v1/tasks", json=body, headers={"X-API-Key": key}).status_code == 202
    assert client.get("/v1/tasks", headers={"X-API-Key": key}).status_code == 403

    revoke = dialog.get_by_role("button", name="Revoke: nightly batch")
    revoke.click()
    dialog.get_by_role("button", name="Revoke permanently: nightly batch").click()
    expect(page.get_by_test_id("key-list").get_by_role("listitem")).to_have_count(0)
    assert client.post("/v1/tasks", json=body, headers={"X-API-Key": key}).status_code == 401
    # The page keeps no key.
    dialog.get_by_role("button", name="Close").click()
    expect(shown).to_have_value("")


def test_links_are_offered_within_the_limit_of_the_deployment(fakes: PageWithFakes) -> None:
    task = fakes.completed_task("one", prompt="a picture")
    fakes.configuration["max_share_days"] = 1
    page = fakes.open(tasks=[task])
    page.get_by_role("img", name="a picture").click()
    page.get_by_role("button", name="Share").click()
    hours = page.get_by_label("The link works for")
    expect(hours.locator("option")).to_have_text(["1 hour", "1 day"])
    expect(hours).to_have_value("24")

    fakes.configuration["max_share_days"] = 0
    page = fakes.open(tasks=[task])
    page.get_by_role("img", name="a picture").click()
    expect(page.get_by_role("button", name="Remix")).to_be_visible()
    expect(page.get_by_role("button", name="Share")).to_have_count(0)


def test_created_link_shows_the_picture_until_it_is_revoked(fakes: PageWithFakes) -> None:
    page = fakes.open(tasks=[fakes.completed_task("pair", prompt="two <b>pictures</b>", num_images=2)])
    page.set_viewport_size({"width": 1280, "height": 800})
    page.get_by_role("img", name="two <b>pictures</b>").nth(1).click()  # once both are shown
    page.get_by_role("button", name="Share").click()
    dialog = page.get_by_role("dialog", name="Share this picture")
    dialog.get_by_label("The link works for").select_option("1 day")
    dialog.get_by_role("button", name="Create link").click()
    expect(dialog.get_by_role("status")).to_have_text("Link created and copied.")
    link = page.get_by_test_id("share-url").input_value()
    assert link.startswith(f"{ADDRESS}/s/")
    assert page.evaluate("navigator.clipboard.readText()") == link
    expect(page.get_by_test_id("share-list").get_by_role("listitem")).to_contain_text("Image 2, until")
    looks(page, "share")

    visitor = fakes.context.new_page()
    errors: list[str] = []
    visitor.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    visitor.goto(link)
    expect(visitor.locator("figcaption")).to_have_text("two <b>pictures</b>")
    picture = visitor.get_by_role("img")
    expect(picture).to_have_js_property("complete", True)
    assert picture.evaluate("image => image.naturalWidth") == 256
    # The policy of the page blocks nothing that it needs.
    assert visitor.evaluate("getComputedStyle(document.body).maxWidth") == "1024px"
    assert errors == []
    looks(visitor, "shared-page")

    dialog.get_by_role("button", name="Revoke:").click()
    dialog.get_by_role("button", name="Revoke permanently:").click()
    expect(dialog.get_by_role("status")).to_have_text("The link shows nothing any more.")
    expect(page.get_by_test_id("share-list").get_by_role("listitem")).to_have_count(0)
    visitor.reload()
    expect(visitor.get_by_role("heading")).to_have_text("No picture here")
    looks(visitor, "shared-page-ended")
    # The viewer behind the dialog stays open.
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(page.get_by_test_id("viewer-position")).to_be_visible()
