"""Time until a browser shows a step: from the document's `updated_at` to the frame with the change.

    python -m benchmarks browser_latency --parts listeners

Both clocks are this machine's. The time includes the write to Firestore, the listener and the
page's processing. With 50 pages open there are two parts:

- `listeners`: one page in Chromium is measured. The others follow the same list with the same
  client package, without a browser and with the lowest priority, as if each were on a machine of its
  own. This measures the service.
- `browsers`: all pages are in Chromium, each with a context of its own, and share this machine's
  processor with the worker. This measures the machine, too.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import psutil
from playwright.sync_api import Browser, Page

from benchmarks.browsing import chromium
from benchmarks.listening_pages import ListeningPages
from benchmarks.measurement import percentile, processor_seconds, spread_of
from benchmarks.parts import PARTS
from benchmarks.prompts import PROMPTS
from benchmarks.whole_system import running_system
from local_stack.stack import LocalStack
from tests.system_client import SystemClient

PAGES = 50
ROUNDS = 5
TASKS = 4
"""Of each round."""
STEPS = 100
_SERVICES = ("api", "firestore-proxy", "firestore-emulator")

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


def run(*, parts: Sequence[str] = PARTS["browser_latency"]) -> Iterator[str]:
    with running_system() as (stack, client), chromium() as browser:
        address = str(stack.page_url)
        pages = [_open_page(browser, address)]
        yield from _report("1 page", _Measurement(stack, client, pages))
        if "listeners" in parts:
            with ListeningPages.of(address, PAGES - 1) as others:
                name = f"1 page in a browser, {PAGES - 1} without"
                yield from _report(name, _Measurement(stack, client, pages, others))
        if "browsers" in parts:
            pages += [_open_page(browser, address) for _ in range(PAGES - 1)]
            yield from _report(f"{PAGES} pages in browsers", _Measurement(stack, client, pages))


def _open_page(browser: Browser, address: str) -> Page:
    page = browser.new_page(base_url=address)
    page.add_init_script(_RECORD_FRAMES)
    page.goto("/")
    page.locator("[data-testid='connection-state'][data-source='firestore']").wait_for()
    return page


class _Measurement:
    """The changes that pages receive and show while tasks are generated."""

    def __init__(
        self,
        stack: LocalStack,
        client: SystemClient,
        pages: Sequence[Page],
        others: ListeningPages | None = None,
    ) -> None:
        self.pages = pages
        self.others = others
        self._stack = stack
        self._client = client

    def round(self) -> tuple[Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]]]:
        """Generate TASKS images; return the changes of the browser's pages, and of the others."""
        for page in self.pages:
            page.evaluate("shown.length = 0")
        if self.others is not None:
            self.others.take_changes()
        for number in range(TASKS):
            task_id = self._client.submit(PROMPTS[number % len(PROMPTS)], seed=number, steps=STEPS)
            self._client.wait_for_end(task_id)
            self._wait_until_shown(task_id)
        received = () if self.others is None else self.others.take_changes()
        return (
            [change for page in self.pages for change in page.evaluate("shown")],
            [change for changes in received for change in changes],
        )

    def _wait_until_shown(self, task_id: str) -> None:
        is_shown = "id => shown.some(({ taskId, status }) => taskId === id && status === 'completed')"
        for page in self.pages:
            page.wait_for_function(is_shown, arg=task_id, polling=200, timeout=120_000)

    def processor_seconds(self) -> Mapping[str, float]:
        """Return the processor time of each group of processes so far."""
        browser = [one for one in _descendants(psutil.Process()) if "chrom" in one.name()]
        services = [psutil.Process(self._stack.process(name).pid) for name in _SERVICES]
        groups = {
            "services": [one for service in services for one in (service, *_descendants(service))],
            "Chromium": browser,
            "other pages": [] if self.others is None else [psutil.Process(self.others.pid)],
        }
        return {name: sum(map(processor_seconds, group)) for name, group in groups.items() if group}


def _descendants(process: psutil.Process) -> Sequence[psutil.Process]:
    return process.children(recursive=True)


def _report(name: str, measurement: _Measurement) -> Iterator[str]:
    measurement.round()  # warms everything up
    before = measurement.processor_seconds()
    rounds = [measurement.round() for _ in range(ROUNDS)]
    after = measurement.processor_seconds()
    count = sum(len(changes) for changes, _ in rounds) / len(measurement.pages)
    yield f"{name}: received after {_delays([one for one, _ in rounds], 'receivedAt')}"
    yield f"{name}: shown after {_delays([one for one, _ in rounds], 'shownAt')}"
    if measurement.others is not None:
        yield f"{name}: the others received after {_delays([other for _, other in rounds], 'receivedAt')}"
    costs = ", ".join(f"{group} {(after[group] - before[group]) / count * 1_000:.0f} ms" for group in before)
    yield f"{name}: {count / ROUNDS / TASKS:.1f} changes of a task; processor time of a change: {costs}"


def _delays(rounds: Sequence[Sequence[Mapping[str, Any]]], until: str) -> str:
    """Format the median and p90 of a round: the middle one of the rounds, and their range."""
    # The API's event stream, to which a page may fall back, does not contain `updated_at`.
    delays = [
        [change[until] - change["updatedAt"] for change in changes if change["updatedAt"]]
        for changes in rounds
    ]
    return ", ".join(
        f"{title} {spread_of([percentile(one, percent) for one in delays]).format(' ms', 0)}"
        for title, percent in (("median", 50), ("p90", 90))
    )
