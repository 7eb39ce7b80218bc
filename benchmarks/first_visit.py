"""A first visit of the page with an empty cache, and the first preview of a task.

The bytes are those that the browser received over the network, compressed, until the form is ready
and the page is connected to Firestore. The layout shift is the sum of all shifts without input of
the user, as in Cumulative Layout Shift.
"""

from collections.abc import Iterator

from playwright.sync_api import Browser, CDPSession, Page

from benchmarks.browsing import RECORD_LAYOUT_SHIFT, chromium
from benchmarks.measurement import ratios, spread_of
from benchmarks.prompts import PROMPTS
from benchmarks.whole_system import running_system
from tests.system_client import SystemClient

VISITS = 5
TASKS = 5
STEPS = 100
IMAGES = 4

_RECORD = """
window.began = {};
window.previewed = {};
window.ended = {};
const note = () => {
    for (const card of document.querySelectorAll("[data-task-id]")) {
        const { taskId, status } = card.dataset;
        began[taskId] ??= performance.now();
        if (card.querySelector('[data-testid="task-preview"]')) previewed[taskId] ??= performance.now();
        if (status === "completed") ended[taskId] ??= performance.now();
    }
};
new MutationObserver(note).observe(document, { subtree: true, childList: true, attributes: true });
"""
_FIRST_PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime"


def run() -> Iterator[str]:
    with running_system() as (stack, client), chromium() as browser:
        assert stack.page_url is not None
        yield from _visits(browser, stack.page_url)
        yield from _tasks(browser, stack.page_url, client)


def _visits(browser: Browser, url: str) -> Iterator[str]:
    kilobytes, paints, shifts = [], [], []
    for _ in range(VISITS):
        page = browser.new_page(base_url=url)
        received = _Received(page.context.new_cdp_session(page))
        _open(page)
        kilobytes.append(received.bytes / 1_000)
        paints.append(page.evaluate(_FIRST_PAINT))
        shifts.append(page.evaluate("shifted"))
        page.close()
    yield (
        f"first visit: {spread_of(kilobytes).format(' kB', 0)} received, first contentful paint after "
        f"{spread_of(paints).format(' ms', 0)}, layout shift {spread_of(shifts).format(digits=3)}"
    )


def _tasks(browser: Browser, url: str, client: SystemClient) -> Iterator[str]:
    page = browser.new_page(base_url=url)
    _open(page)
    before = page.evaluate("shifted")
    for number in range(TASKS):
        task_id = client.submit(PROMPTS[number % len(PROMPTS)], steps=STEPS, num_images=IMAGES, seed=number)
        page.locator(f'[data-task-id="{task_id}"][data-status="completed"]').wait_for(timeout=120_000)
    began, previewed, ended = (page.evaluate(name) for name in ("began", "previewed", "ended"))
    seen = previewed.keys() & ended.keys()
    shares = ratios(
        [previewed[task_id] - began[task_id] for task_id in seen],
        [ended[task_id] - began[task_id] for task_id in seen],
    )
    yield (
        f"{TASKS} tasks of {IMAGES} images and {STEPS} steps, one after the other: first preview after "
        f"{shares.format()} of the time from the card to the images; "
        f"layout shift {page.evaluate('shifted') - before:.3f}"
    )


def _open(page: Page) -> None:
    page.add_init_script(RECORD_LAYOUT_SHIFT + _RECORD)
    page.goto("/")
    page.locator("#submit:enabled").wait_for()
    page.get_by_text("Connected", exact=True).wait_for()  # Firestore's client has been loaded


class _Received:
    """Counts the bytes of the responses that have ended."""

    def __init__(self, session: CDPSession) -> None:
        self.bytes = 0
        session.on("Network.loadingFinished", self._add)
        session.send("Network.enable")

    def _add(self, event: dict[str, float]) -> None:
        self.bytes += int(event["encodedDataLength"])
