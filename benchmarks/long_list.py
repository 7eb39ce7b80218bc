"""The page's list of 5,000 tasks, scrolled to its end and back.

The built page runs over fakes of the API, which take no time of the page's main thread. A browser
counts long tasks by the wall clock. Their processor time does not depend on other processes.
"""

import json
from collections.abc import Iterator
from typing import Any

from playwright.sync_api import Browser
from structlog.testing import capture_logs

from benchmarks.browsing import RECORD_LAYOUT_SHIFT, chromium
from tests.browser.page_with_fakes import PageWithFakes

TASKS = 5_000
PIXELS_PER_FRAME = 3_600
_SIZES = ((256, 256), (384, 256), (256, 384))

_RECORD = """() => {
    window.longTasks = [];
    new PerformanceObserver(list => longTasks.push(...list.getEntries().map(({ duration }) => duration)))
        .observe({ type: "longtask" });
}"""
_SCROLL = """async pixels => {
    const more = document.getElementById("more");
    const frame = () => new Promise(requestAnimationFrame);
    const isAtEnd = () => pixels < 0 ? scrollY === 0
        : more.hidden && innerHeight + scrollY >= document.documentElement.scrollHeight - 1;
    const result = { frames: 0, cards: 0 };
    longTasks.length = 0;
    shifted = 0;
    while (!isAtEnd()) {
        scrollBy(0, pixels);
        await frame();
        // After some pages the list waits for its button.
        if (!more.hidden && more.getBoundingClientRect().top < innerHeight) more.click();
        result.frames += 1;
        result.cards = Math.max(result.cards, document.getElementsByClassName("task").length);
    }
    return { ...result, longTasks: [...longTasks], shifted };
}"""


def run() -> Iterator[str]:
    with chromium() as browser, capture_logs():
        yield from _scrolled(browser)


def _scrolled(browser: Browser) -> Iterator[str]:
    context = browser.new_context(viewport={"width": 1_440, "height": 900})
    context.set_default_timeout(600_000)
    fakes = PageWithFakes(context)
    newest_first = [_completed(fakes, number) for number in range(TASKS)][::-1]
    page = fakes.open(tasks=newest_first[:51])
    page.evaluate(RECORD_LAYOUT_SHIFT)
    page.evaluate(_RECORD)
    for direction, pixels in (("to the end", PIXELS_PER_FRAME), ("back", -PIXELS_PER_FRAME)):
        browser.start_tracing(page=page, categories=["toplevel"])
        result: dict[str, Any] = page.evaluate(_SCROLL, pixels)
        used = _processor_milliseconds(browser.stop_tracing())
        long = result["longTasks"]
        yield (
            f"{direction}: {sum(one > 100 for one in long)} tasks above 100 ms, the longest "
            f"{max(long, default=0):.0f} ms; processor time {sum(used) / 1_000:.1f} s in {result['frames']:,} "
            f"frames, {sum(one > 100 for one in used)} tasks above 100 ms, the longest {max(used):.0f} ms; "
            f"at most {result['cards']:,} cards; layout shift {result['shifted']:.3f}"
        )
    context.close()
    fakes.close()


def _completed(fakes: PageWithFakes, number: int) -> dict[str, Any]:
    fakes.api.clock.advance(1)
    width, height = _SIZES[number % len(_SIZES)]
    return fakes.completed_task(f"task-{number}", prompt=f"picture {number}", width=width, height=height)


def _processor_milliseconds(trace: bytes) -> list[float]:
    """Return the processor time of each task of the page's main thread."""
    events = json.loads(trace)["traceEvents"]
    threads = {
        (event["pid"], event["tid"])
        for event in events
        if event["name"] == "thread_name" and event["args"]["name"] == "CrRendererMain"
    }
    return [
        event["tdur"] / 1_000
        for event in events
        if event["name"].endswith("RunTask") and "tdur" in event and (event["pid"], event["tid"]) in threads
    ]
