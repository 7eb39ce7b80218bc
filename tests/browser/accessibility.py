"""Checks of a page with axe-core, in the light and the dark scheme."""

from pathlib import Path
from time import monotonic
from typing import Any, Literal

from playwright.sync_api import Page

from tests.browser.conftest import show

_AXE = Path(__file__).resolve().parents[2] / "node_modules" / "axe-core" / "axe.min.js"
_SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
_SECONDS = 30
_SETTLE = """() => {
    const frame = () => new Promise(requestAnimationFrame);
    const roots = () => [document, ...[...document.querySelectorAll("*")].flatMap(part => part.shadowRoot ?? [])];
    const transitions = () => roots().flatMap(root => root.getAnimations())
        .filter(animation => animation.effect.getComputedTiming().iterations !== Infinity);
    return frame().then(frame).then(() => Promise.all(transitions().map(one => one.finished.catch(() => null))));
}"""


def expect_accessible(page: Page, element: str = "html", *, state: str | None = None) -> None:
    """Check the element with this selector, and everything in it, against axe-core's rules.

    `state` names the screenshots.
    """
    # A fade that has just begun would change the contrast.
    page.emulate_media(reduced_motion="reduce")
    if not page.evaluate("window.axe !== undefined"):
        page.evaluate(f"{_AXE.read_text()}; undefined")
    for scheme in _SCHEMES:
        page.emulate_media(color_scheme=scheme)
        options: dict[str, Any] = {"resultTypes": ["violations"]}
        if scheme == "dark":
            options["runOnly"] = ["color-contrast"]  # the scheme changes only colours
        # Chromium applies a new scheme some frames later to what it has just begun to render.
        deadline = monotonic() + _SECONDS
        while (found := _violations(page, element, options)) and monotonic() < deadline:
            pass
        if state is not None:
            show(page, f"{state}-{scheme}")
        assert found == [], (state, scheme, found)


def _violations(page: Page, element: str, options: dict[str, Any]) -> list[Any]:
    page.evaluate(_SETTLE)
    violations = page.evaluate(
        "([element, options]) => axe.run(element, options).then(({violations}) => violations)",
        [element, options],
    )
    return [
        (rule["id"], node["target"], node["failureSummary"]) for rule in violations for node in rule["nodes"]
    ]
