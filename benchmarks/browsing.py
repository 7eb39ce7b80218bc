"""Shared code for benchmarks of the page in a browser."""

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

from tests.browser.conftest import QUIET_CHROMIUM, find_chromium

RECORD_LAYOUT_SHIFT = """
window.shifted = 0;
new PerformanceObserver(list => {
    for (const { hadRecentInput, value } of list.getEntries()) if (!hadRecentInput) shifted += value;
}).observe({ type: "layout-shift", buffered: true });
"""
"""A script that keeps the sum of all shifts without input of the user in `shifted`."""


@contextmanager
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=list(QUIET_CHROMIUM))
        yield browser
        browser.close()
