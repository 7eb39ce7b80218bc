"""Checks of a page with axe-core, in the light and the dark scheme."""

from pathlib import Path
from typing import Any, Literal

from playwright.sync_api import Page

_AXE = Path(__file__).resolve().parents[2] / "node_modules" / "axe-core" / "axe.min.js"
_SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


def expect_accessible(page: Page, element: str) -> None:
    """Check the element with this selector, and everything in it, against axe-core's rules."""
    # A fade that has just begun would change the contrast.
    page.emulate_media(reduced_motion="reduce")
    page.evaluate(f"{_AXE.read_text()}; undefined")
    found: list[Any] = []
    for scheme in _SCHEMES:
        page.emulate_media(color_scheme=scheme)
        violations = page.evaluate(
            "element => axe.run(element, {resultTypes: ['violations']}).then(({violations}) => violations)",
            element,
        )
        found += [
            (scheme, rule["id"], node["target"], node["failureSummary"])
            for rule in violations
            for node in rule["nodes"]
        ]
    assert found == []
