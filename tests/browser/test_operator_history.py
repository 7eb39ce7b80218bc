"""The stored history on the operator page."""

from datetime import datetime, timedelta

import pytest
from playwright.sync_api import Locator, Page, expect

from frontend_api.clock_minute import MINUTE
from frontend_api.operations.response_counts import ResponseShare
from tests.browser.conftest import show
from tests.browser.page_with_fakes import ADDRESS, PageWithFakes
from tests.unit.frontend_api.conftest import Api, signed_in_as
from tests.unit.frontend_api.history.samples import minute_sample

pytestmark = pytest.mark.browser


def record_a_day(api: Api) -> None:
    """Record a day with a rise of the queue, failures, API errors, and a gap of an hour."""
    now = api.clock.now()
    for number in range(1, 24 * 60):
        if 120 <= number < 180:
            continue
        queued = max(0, 40 - abs(number - 210))
        failed = 3 if 190 <= number < 200 else 0
        sample = minute_sample(
            queued=queued,
            oldest_seconds=4.0 * queued,
            workers=2 if number < 300 else 1,
            completed=6 + number % 3,
            failed=failed,
            cancelled=int(number % 20 == 0),
            gpu_seconds=48.5 + number % 7,
            wasted_gpu_seconds=9.5 * failed,
        )
        api.minute_history.record(now - number * MINUTE, sample)
        responses = ResponseShare(all=100, failed=20 if 100 <= number < 110 else 0)
        api.minute_history.add_responses({now - number * MINUTE: responses})


def time_of_day(page: Page, moment: datetime) -> str:
    """Return the time as the page shows it."""
    options = "{hour: '2-digit', minute: '2-digit'}"
    shown: str = page.evaluate(f"new Date('{moment.isoformat()}').toLocaleTimeString(undefined, {options})")
    return shown


def caption(page: Page, name: str) -> Locator:
    return page.get_by_test_id(f"chart-{name}").locator("figcaption")


def poll_now(page: Page) -> None:
    page.evaluate("dispatchEvent(new Event('online'))")


def open_operator_page(fakes: PageWithFakes) -> Page:
    fakes.context.set_extra_http_headers(signed_in_as("olga"))
    page = fakes.context.new_page()
    page.goto(f"{ADDRESS}/operator")
    expect(page.get_by_test_id("connection-state")).to_have_attribute("data-state", "live")
    return page


def test_operator_page_shows_the_stored_history_and_continues_it(fakes: PageWithFakes) -> None:
    api = fakes.api
    record_a_day(api)
    page = open_operator_page(fakes)
    peak = api.clock.now() - timedelta(minutes=210)
    expect(caption(page, "queued")).to_have_text(
        f"Queued taskslast 0, highest 40 at {time_of_day(page, peak)}"
    )
    expect(caption(page, "failure-rate")).to_contain_text("last 0 %, highest 30 %")
    expect(caption(page, "api-errors")).to_contain_text("last 0 %, highest 20 %")
    expect(caption(page, "workers")).to_contain_text("last 2, highest 2 ")
    expect(page.get_by_test_id("chart-finished").get_by_role("listitem")).to_have_text(
        ["completed", "failed", "cancelled"]
    )
    for width, height in ((375, 667), (1280, 800)):
        for scheme in ("light", "dark"):
            page.set_viewport_size({"width": width, "height": height})
            page.emulate_media(color_scheme=scheme)
            page.get_by_role("heading", name="History").scroll_into_view_if_needed()
            show(page, f"operator-history-{width}-{scheme}")
            assert page.evaluate("document.documentElement.scrollWidth") <= width
    api.clock.advance(60)
    api.minute_history.record(api.clock.now() - MINUTE, minute_sample(queued=55))
    poll_now(page)
    expect(caption(page, "queued")).to_contain_text("last 55, highest 55")


def test_history_is_a_table_for_the_chosen_hours(fakes: PageWithFakes) -> None:
    record_a_day(fakes.api)
    page = open_operator_page(fakes)
    rows = page.get_by_test_id("history-row")
    expect(rows).to_have_count(0)
    page.get_by_text("History as a table").click()
    expect(rows).to_have_count(61)  # six hours in steps of five minutes, without almost an hour
    expect(page.get_by_role("table", name="History").get_by_role("columnheader")).to_have_count(10)
    start = fakes.api.clock.now() - timedelta(minutes=5)
    figures = [time_of_day(page, start), "0", "0 s", "2", "36", "0", "0", "0 %", "4 min 18 s", "0 s"]
    expect(rows.first.get_by_role("rowheader").or_(rows.first.get_by_role("cell"))).to_have_text(figures)
    show(page, "operator-history-table")
    page.get_by_label("Period").select_option("Last hour")
    expect(rows).to_have_count(60)
    page.get_by_label("Period").select_option("Last 24 hours")
    expect(rows).to_have_count(93)


def test_history_keeps_its_figures_while_the_store_is_unavailable(fakes: PageWithFakes) -> None:
    page = open_operator_page(fakes)
    note = page.locator("#history-note")
    expect(note).to_contain_text("No figures are stored yet.")
    api = fakes.api
    api.minute_history.record(api.clock.now(), minute_sample(queued=7))
    api.clock.advance(60)
    poll_now(page)
    expect(caption(page, "queued")).to_contain_text("last 7")
    expect(note).to_have_text("Shaded: times without stored figures.")
    api.minute_history.unavailable = True
    api.clock.advance(60)
    poll_now(page)
    expect(note).to_contain_text("Firestore did not answer")
    expect(caption(page, "queued")).to_contain_text("last 7")
