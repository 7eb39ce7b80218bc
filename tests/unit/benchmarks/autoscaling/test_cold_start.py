"""The claims of docs/operating/fleet-size.md, "Cold starts", on a few seeds."""

import re
from pathlib import Path

import pytest

from benchmarks.autoscaling.cold_start import MODELS_GB, PLACES, START_SECONDS, cold_start

GUIDE = Path(__file__).parents[4] / "docs" / "operating" / "fleet-size.md"
BY_NAME = {place.name: place for place in PLACES}


def test_faster_place_starts_larger_models_sooner() -> None:
    for size in MODELS_GB.values():
        times = {name: cold_start(place, size, range(1, 6)).median for name, place in BY_NAME.items()}
        assert times["Hyperdisk ML"] < times["the bucket, mounted on GKE"] < times["the hub, on each node"]
        assert times["the bucket, on Cloud Run"] < times["the bucket, mounted on GKE"]


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.name)
def test_cold_start_includes_the_reading_of_the_weights(place: object) -> None:
    small, large = (BY_NAME[place.name].world(size).physics.load_seconds for size in (7.0, 14.0))  # type: ignore[attr-defined]
    assert large - START_SECONDS == pytest.approx(2 * (small - START_SECONDS))


def test_guide_has_a_row_for_each_place() -> None:
    section = GUIDE.read_text().partition("\n## Cold starts\n")[2].partition("\n## ")[0]
    for place in PLACES:
        (row,) = re.findall(rf"^\| {re.escape(place.name)} \| (\d+) MB/s \|", section, re.MULTILINE)
        assert float(row) == place.megabytes_per_second
