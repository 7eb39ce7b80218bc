"""Time until a browser shows a step: from the document's `updated_at` to the page's own event.

Both clocks are this machine's. The time includes the write to Firestore, the listener and the page's processing.
"""

import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from benchmarks.measurement import percentile
from benchmarks.prompts import PROMPTS
from local_stack.settings import StackSettings
from local_stack.stack import LocalStack
from tests.browser.conftest import QUIET_CHROMIUM, find_chromium

TASKS = 20


def run() -> list[str]:
    """Generate tasks of 100 steps while a page is open, and return the report's lines."""
    with (
        tempfile.TemporaryDirectory() as folder,
        LocalStack(StackSettings(data_directory=Path(folder))) as stack,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=list(QUIET_CHROMIUM))
        page = browser.new_page(base_url=stack.page_url)
        page.add_init_script(
            "window.heard = []; addEventListener('darkroom:snapshot', event => heard.push(event.detail))"
        )
        page.goto("/")
        page.get_by_test_id("prompt-input").wait_for()
        for number in range(TASKS):
            body = {"prompt": PROMPTS[number % len(PROMPTS)], "steps": 100, "seed": number}
            task_id = page.request.post("/v1/tasks", data=body).json()["id"]
            page.locator(f'[data-task-id="{task_id}"][data-status="completed"]').wait_for(timeout=120_000)
        heard = page.evaluate("heard.filter(change => change.phase === 'denoising')")
        browser.close()
    milliseconds = [change["receivedAt"] - change["updatedAt"] for change in heard]
    return [
        (
            f"a step written by the worker is in the page's hands after {percentile(milliseconds, 50):.0f} ms at the "
            f"median, p90 {percentile(milliseconds, 90):.0f} ms, p99 {percentile(milliseconds, 99):.0f} ms "
            f"({len(milliseconds)} steps of {TASKS} tasks, worker drawing all the while)"
        )
    ]


if __name__ == "__main__":
    print("\n".join(run()))
