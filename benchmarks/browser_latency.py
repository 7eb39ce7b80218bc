"""Time until a browser shows a step: from the document's `updated_at` to the frame with the change.

Both clocks are this machine's. The time includes the write to Firestore, the listener and the
page's processing. Each page has a browser context of its own, as if it were another computer's: but
all of them share this machine's processor with the worker.
"""

from collections.abc import Iterator, Sequence

from playwright.sync_api import Browser, Page

from benchmarks.browsing import chromium
from benchmarks.measurement import percentiles
from benchmarks.prompts import PROMPTS
from benchmarks.whole_system import running_system
from tests.system_client import SystemClient

PAGES = (1, 50)
TASKS = 10
STEPS = 100

# A message is handled after the frame that the callback of requestAnimationFrame is part of.
_RECORD_FRAMES = """
window.shown = [];
addEventListener("darkroom:snapshot", ({ detail }) => requestAnimationFrame(() => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
        shown.push({ ...detail, shownAt: performance.timeOrigin + performance.now() });
        port1.close();
    };
    port2.postMessage(null);
}));
"""


def run() -> Iterator[str]:
    with running_system() as (stack, client), chromium() as browser:
        pages: list[Page] = []
        for count in PAGES:
            while len(pages) < count:
                pages.append(_open_page(browser, str(stack.page_url)))
            yield f"with {count} open: {_measure(pages, client)}"


def _open_page(browser: Browser, address: str) -> Page:
    page = browser.new_page(base_url=address)
    page.add_init_script(_RECORD_FRAMES)
    page.goto("/")
    page.locator("[data-testid='connection-state'][data-state='live']").wait_for()
    return page


def _measure(pages: Sequence[Page], client: SystemClient) -> str:
    _generate(pages, client, 0)  # warms everything up
    for page in pages:
        page.evaluate("shown.length = 0")
    for number in range(1, TASKS + 1):
        _generate(pages, client, number)
    changes = [change for page in pages for change in page.evaluate("shown")]
    received = [change["receivedAt"] - change["updatedAt"] for change in changes]
    shown = [change["shownAt"] - change["updatedAt"] for change in changes]
    return (
        f"received after {percentiles(received, digits=0)}; shown after {percentiles(shown, digits=0)} "
        f"({len(changes) / len(pages) / TASKS:.1f} changes of each of {TASKS} tasks)"
    )


def _generate(pages: Sequence[Page], client: SystemClient, number: int) -> None:
    """Generate an image, and wait until all pages show it."""
    task_id = client.submit(PROMPTS[number % len(PROMPTS)], seed=number, steps=STEPS)
    client.wait_for_end(task_id)
    is_shown = "id => shown.some(({ taskId, status }) => taskId === id && status === 'completed')"
    for page in pages:
        page.wait_for_function(is_shown, arg=task_id, polling=200, timeout=120_000)
