"""A real Chromium, and a running stack whose page it opens."""

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from common.domain.models.catalog import DEMO_MODEL, ModelCatalog
from common.domain.models.limits import ModelDefaults, ModelLimits
from common.domain.models.spec import ModelSpec
from common.domain.models.traits import NO_GUIDANCE, Guidance, ModelTraits
from common.domain.parameters import Sampler
from local_stack.stack import LocalStack
from tests.browser.page_with_fakes import PageWithFakes
from tests.system.conftest import System, start

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
    expect.set_options(timeout=120_000)  # a busy machine renders slowly, and these tests do not measure speed
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(QUIET_CHROMIUM))
        yield browser
        browser.close()


FEW_STEPS_MODEL = ModelSpec(
    name="few-steps",
    title="Few steps",
    description="Draws in four steps, without guidance.",
    family="whole_pipeline",
    source="example/few-steps",
    samplers=(Sampler.OWN,),
    traits=ModelTraits(guidance=Guidance.NONE, negative_prompt=False),
    limits=ModelLimits(max_steps=8, min_side=256, max_side=1_536, side_multiple=16),
    defaults=ModelDefaults(
        steps=4, guidance_scale=NO_GUIDANCE, sampler=Sampler.OWN, width=1_024, height=1_024
    ),
)
"""A model on offer that no test generates with: its hub id does not exist."""


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system that offers the demo model and FEW_STEPS_MODEL."""
    folder = tmp_path_factory.mktemp("browser")
    catalog = folder / "models.json"
    catalog.write_text(ModelCatalog(models=(DEMO_MODEL, FEW_STEPS_MODEL)).model_dump_json(exclude_none=True))
    with ExitStack() as exits:
        yield start(exits, folder, model_catalog=catalog)


@pytest.fixture(scope="module")
def running_stack(system: System) -> LocalStack:
    return system.stack


_NETWORK_PROBE = "https://www.google.com/images/cleardot.gif"
"""Firestore's client requests it when its stream fails, and the policy refuses it."""


@contextmanager
def without_violations(context: BrowserContext) -> Iterator[None]:
    """Fail when a page of the context violates its Content-Security-Policy."""
    violations: list[str] = []

    def record(violation: str) -> None:
        if _NETWORK_PROBE not in violation:
            violations.append(violation)

    context.expose_function("recordViolation", record)
    context.add_init_script(
        "addEventListener('securitypolicyviolation', event => window.recordViolation("
        "[event.violatedDirective, event.blockedURI, event.sample, event.sourceFile, event.lineNumber].join(' ')))"
    )
    yield
    assert violations == []


@pytest.fixture
def context(chromium: Browser, running_stack: LocalStack) -> Iterator[BrowserContext]:
    opened = chromium.new_context(base_url=running_stack.page_url, accept_downloads=True)
    opened.set_default_timeout(120_000)
    with without_violations(opened):
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


@pytest.fixture
def fakes(chromium: Browser) -> Iterator[PageWithFakes]:
    """The built page with the API's fakes. It needs no running stack."""
    context = chromium.new_context(permissions=["clipboard-read", "clipboard-write"])
    context.set_default_timeout(120_000)
    page = PageWithFakes(context)
    with without_violations(context):
        yield page
    context.close()
    page.close()


_PATIENT_CONFIRMATIONS = """
const { setTimeout } = window;
window.setTimeout = (callback, delay, ...values) => setTimeout(callback, delay === 5000 ? 600_000 : delay, ...values);
"""
"""The second press may come late on a busy machine."""


@pytest.fixture
def still(chromium: Browser) -> Iterator[PageWithFakes]:
    """The page without transitions."""
    context = chromium.new_context(
        reduced_motion="reduce",
        viewport={"width": 1280, "height": 800},
        permissions=["clipboard-read", "clipboard-write"],
    )
    context.set_default_timeout(120_000)
    context.add_init_script(_PATIENT_CONFIRMATIONS)
    page = PageWithFakes(context)
    yield page
    context.close()
    page.close()


def show(page: Page, name: str) -> None:
    """Save a screenshot, if SCREENSHOTS names a folder."""
    if "SCREENSHOTS" not in os.environ:
        return
    folder = Path(os.environ["SCREENSHOTS"])
    folder.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=folder / f"{name}.png", full_page=False)
