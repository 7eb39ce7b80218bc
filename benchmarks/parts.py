"""The parts of benchmarks that would take more than three minutes as a whole."""

from collections.abc import Mapping

PARTS: Mapping[str, tuple[str, ...]] = {
    "attack": ("requests", "lists"),
    "service_tax": ("sharing", "no_sharing", "backlog"),
    "engine_saturated": ("equal", "mixed", "widths", "latency", "joining"),
    "browser_latency": ("listeners", "browsers"),
}
"""The parts of a benchmark, which its `run` takes."""
