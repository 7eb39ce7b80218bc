"""The pages under their Content-Security-Policy and Trusted Types: each use works without a violation."""

import pytest
from playwright.sync_api import Browser, Error, Page, expect

from tests.browser.conftest import without_violations
from tests.browser.page_with_fakes import ADDRESS, PageWithFakes

pytestmark = pytest.mark.browser


def assign_markup(page: Page) -> str | None:
    """Assign HTML with an event handler to an element, as injected code would. Return its resulting HTML."""
    html: str | None = page.evaluate("""() => {
        const element = document.createElement("p");
        try { element.innerHTML = "<b onclick=alert(1)>bold</b>"; } catch (error) { return null; }
        return element.innerHTML;
    }""")
    return html


@pytest.mark.parametrize("path", ["/", "/operator"])
def test_page_refuses_text_as_markup_and_new_policies(chromium: Browser, path: str) -> None:
    context = chromium.new_context()
    page = PageWithFakes(context)
    opened = context.new_page()
    opened.goto(f"{ADDRESS}{path}")
    expect(opened.locator("h1").first).to_be_visible()
    assert assign_markup(opened) is None
    with pytest.raises(Error, match="Policy"):
        opened.evaluate("trustedTypes.createPolicy('own', {createHTML: text => text}) && undefined")
    context.close()
    page.close()


def test_reference_works_and_keeps_only_the_text_of_markup(fakes: PageWithFakes) -> None:
    page = fakes.context.new_page()
    page.goto(f"{ADDRESS}/docs")
    page.get_by_placeholder("Filter").fill("cancel")
    page.get_by_role("link", name="Cancel a task").click()
    expect(page.get_by_text("/v1/tasks/{task_id}/cancel")).to_be_visible()
    assert assign_markup(page) == "bold"


def test_sign_in_page_works_under_its_policy(chromium: Browser) -> None:
    context = chromium.new_context()
    page = PageWithFakes(context, signs_in=True)
    with without_violations(context):
        opened = context.new_page()
        opened.goto(f"{ADDRESS}/")
        with opened.expect_request("https://apis.google.com/**"):
            opened.get_by_role("button", name="Sign in with Google").click()
        # Google's script is out of reach of this test.
        expect(opened.locator("#sign-in-message")).to_contain_text("Sign-in failed")
    context.close()
    page.close()


def test_page_reads_its_configuration_once_per_connection(fakes: PageWithFakes) -> None:
    read: list[str] = []
    fakes.context.on(
        "request", lambda request: read.append(request.url) if "config.json" in request.url else None
    )
    page = fakes.open()
    state = page.get_by_test_id("connection-state")
    expect(state).to_have_attribute("data-state", "live")
    assert read == [f"{ADDRESS}/config.json"]
    # Firestore's address may have changed meanwhile.
    page.context.set_offline(True)
    expect(state).to_have_attribute("data-state", "offline")
    with page.expect_request("**/config.json"):
        page.context.set_offline(False)
    expect(state).to_have_attribute("data-state", "live")
