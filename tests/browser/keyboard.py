"""Moves the focus of a page as a user without a pointer does, and checks each stop."""

from collections.abc import Callable
from time import monotonic
from typing import Any

from playwright.sync_api import ElementHandle, Locator, Page, expect

from tests.browser.page_with_fakes import PageWithFakes

_STOP = """target => {
    const stop = document.activeElement;
    const fault = (text) => ({ fault: text, isReached: stop === target });
    if (stop === document.body) return fault("the focus is lost");
    const around = [...(stop.labels ?? []), stop.closest("label"), stop.querySelector(".mask__frame")];
    const parts = [stop, ...around.filter(Boolean)];
    const styles = parts.flatMap(part => [getComputedStyle(part), getComputedStyle(part, "::after")]);
    if (!styles.some(({ outlineStyle, outlineWidth }) => outlineStyle !== "none" && parseFloat(outlineWidth) > 0))
        return fault("the focus is not visible");
    const { left, right, top, bottom } = stop.getBoundingClientRect();
    const middle = (low, high, end) => (Math.max(0, low) + Math.min(end, high)) / 2;
    const seen = document.elementFromPoint(middle(left, right, innerWidth), middle(top, bottom, innerHeight));
    if (seen === null) return fault("it is outside of the window");
    if (!parts.some(part => part.contains(seen) || seen.contains(part)))
        return fault(`${seen.outerHTML.slice(0, 80)} covers it`);
    window.namedStops ??= new WeakSet();
    const isNew = !window.namedStops.has(stop);
    window.namedStops.add(stop);
    return { ...fault(null), isNew };
}"""
_MOST_STOPS = 90
_SECONDS = 30


class Keyboard:
    """Moves the focus of a page as a user without a pointer does."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self._inspector = page.context.new_cdp_session(page)

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def reach(self, element: Locator, *, key: str = "Tab", then: str | None = None) -> None:
        """Press a key until the element has the focus, and check every stop; then press another one."""
        expect(element).to_be_visible()
        target = element.element_handle()
        for _ in range(_MOST_STOPS):
            self.press(key)
            if self.expect_stop(target):
                break
        expect(element).to_be_focused()
        if then is not None:
            self.press(then)

    def expect_stop(self, target: ElementHandle | None = None) -> bool:
        """Expect a focus that is visible, on an element with a name. Return whether it is the target."""
        deadline = monotonic() + _SECONDS
        # Styles of the focus apply with the next frame.
        while (stop := self.page.evaluate(_STOP, target))["fault"] and monotonic() < deadline:
            self.page.evaluate("new Promise(requestAnimationFrame)")
        assert stop["fault"] is None, f"{stop['fault']}: {self._focused()}"
        if stop["isNew"]:
            assert self._name(), f"it has no name: {self._focused()}"
        return bool(stop["isReached"])

    def _name(self) -> str:
        """Return the name of the focused element for assistive technology."""
        focused = self._inspector.send("Runtime.evaluate", {"expression": "document.activeElement"})["result"]
        node = self._inspector.send(
            "Accessibility.getPartialAXTree", {"objectId": focused["objectId"], "fetchRelatives": False}
        )["nodes"][0]
        return str(node.get("name", {}).get("value", ""))

    def _focused(self) -> str:
        return str(self.page.evaluate("document.activeElement.outerHTML.slice(0, 160)"))


def open_page(fakes: PageWithFakes, *tasks: dict[str, Any]) -> tuple[Page, Keyboard]:
    page = fakes.open(tasks=tasks)
    expect(page.get_by_test_id("submit-button")).to_be_enabled()
    expect(page.locator(".tile.is-loading")).to_have_count(0)
    return page, Keyboard(page)


def button(page: Page) -> Callable[[str], Locator]:
    return lambda name: page.get_by_role("button", name=name, exact=True)
