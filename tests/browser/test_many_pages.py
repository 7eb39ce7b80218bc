"""Many pages of one browser, which opens six HTTP/1.1 connections to a host name."""

import re

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.test_pages import abort, card_of

pytestmark = pytest.mark.browser

PAGES = 12


def open_page(context: BrowserContext) -> Page:
    """Open a page that follows its tasks by Firestore."""
    page = context.new_page()
    page.goto("/")
    expect(page.get_by_test_id("connection-state")).to_have_attribute("data-source", "firestore")
    return page


def test_twelve_pages_of_a_browser_follow_their_tasks_by_firestore(context: BrowserContext) -> None:
    pages = [open_page(context) for _ in range(PAGES)]
    task = pages[0].request.post("/v1/tasks", data={"prompt": "for all pages", "steps": 2}).json()["id"]
    for page in pages:
        expect(card_of(page, task)).to_have_attribute("data-status", "completed")
        expect(page.get_by_test_id("connection-state")).to_have_attribute("data-source", "firestore")


def test_page_uses_the_plain_host_name_where_its_own_is_unknown(context: BrowserContext) -> None:
    context.route(re.compile(r"^http://page-"), abort)
    page = context.new_page()
    with page.expect_request(re.compile(r"^http://127\.0\.0\.1:\d+/google\.firestore")):
        page.goto("/")
    expect(page.get_by_test_id("connection-state")).to_have_attribute("data-source", "firestore")
