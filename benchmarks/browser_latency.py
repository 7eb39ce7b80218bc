"""Time until a browser shows a step: from the document's `updated_at` to the page's own event.

Both clocks are this machine's. The time includes the write to Firestore, the listener and the
page's processing.
"""

from collections.abc import Iterator

from benchmarks.browsing import chromium
from benchmarks.measurement import percentiles
from benchmarks.prompts import PROMPTS
from benchmarks.whole_system import running_system

TASKS = 20


def run() -> Iterator[str]:
    with running_system() as (stack, _), chromium() as browser:
        page = browser.new_page(base_url=stack.page_url)
        page.add_init_script(
            "window.received = []; addEventListener('darkroom:snapshot', event => received.push(event.detail))"
        )
        page.goto("/")
        page.get_by_test_id("prompt-input").wait_for()
        for number in range(TASKS):
            body = {"prompt": PROMPTS[number % len(PROMPTS)], "steps": 100, "seed": number}
            task_id = page.request.post("/v1/tasks", data=body).json()["id"]
            page.locator(f'[data-task-id="{task_id}"][data-status="completed"]').wait_for(timeout=120_000)
        received = page.evaluate("received.filter(change => change.phase === 'denoising')")
    delays = [change["receivedAt"] - change["updatedAt"] for change in received]
    yield (
        f"from the worker's write of a step to the page's event: {percentiles(delays, digits=0)} "
        f"({len(delays)} steps of {TASKS} tasks, worker busy)"
    )
