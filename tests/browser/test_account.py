"""Sign-in, API keys, and links to pictures on the page."""

import json

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import show
from tests.browser.page_with_fakes import ADDRESS, PageWithFakes

pytestmark = pytest.mark.browser
ACCOUNTS = """
let listener;
const session = (email) => ({ userId: "local", email, token: () => Promise.resolve(null) });
export function firebaseAuth() {
  return {
    isOffered: true,
    subscribe(onChange) { listener = onChange; onChange(null); },
    async signIn() {
      const account = window.accounts.shift();
      if (account.startsWith("auth/")) throw { code: account };
      listener(session(account));
    },
    async signOut() { listener(null); },
  };
}
"""
"""Firebase Auth, which signs in the accounts in `window.accounts`, or fails with the codes there."""
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


def open_with_sign_in(fakes: PageWithFakes, *accounts: str) -> tuple[Page, list[bool]]:
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
    page = fakes.context.new_page()
    page.add_init_script(f"window.accounts = {json.dumps(accounts)}")
    page.goto(ADDRESS)
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
    expect(welcome).to_contain_text("You are signed out.")
    expect(page.locator("#main")).to_be_hidden()
    sign_in.click()
    page.get_by_test_id("account-button").click()
    expect(page.locator("#account-name")).to_have_text("ada@example.com")


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
