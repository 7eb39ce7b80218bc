"""A real Chromium, and a running stack whose page it opens."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from local_stack.settings import StackSettings
from local_stack.stack import LocalStack

# Without these Chromium contacts its vendor's servers at every start.
QUIET_CHROMIUM = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)


def find_chromium() -> str | None:
    names = (os.environ.get("CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome")
    return next((found for name in names if name and (found := shutil.which(name))), None)


# Playwright runs an event loop on this thread until it is stopped: stop it before the next module's
# tests.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    executable = find_chromium()
    if executable is None:
        if os.environ.get("CI"):
            pytest.fail("no Chromium: `make browser` installs one")
        pytest.skip("no Chromium: `make browser` installs one")
    expect.set_options(timeout=60_000)  # a busy machine renders slowly, and these tests do not measure speed
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(QUIET_CHROMIUM))
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def running_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    with LocalStack(StackSettings(data_directory=tmp_path_factory.mktemp("browser"))) as stack:
        yield stack


@pytest.fixture
def context(chromium: Browser, running_stack: LocalStack) -> Iterator[BrowserContext]:
    opened = chromium.new_context(base_url=running_stack.page_url, accept_downloads=True)
    opened.set_default_timeout(60_000)
    yield opened
    opened.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    """The darkroom page, open, with every received change recorded in `window.changes`."""
    opened = context.new_page()
    opened.add_init_script(
        "window.changes = []; window.addEventListener('darkroom:snapshot', event => window.changes.push(event.detail))"
    )
    opened.goto("/")
    return opened


def screenshot_folder() -> Path | None:
    """The folder for screenshots, if one is set."""
    folder = os.environ.get("SCREENSHOTS")
    return Path(folder) if folder else None
