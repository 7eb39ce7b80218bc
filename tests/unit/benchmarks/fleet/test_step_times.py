"""The table of measured times."""

import json
from pathlib import Path

import pytest

from benchmarks.fleet.step_times import read_step_times, step_times


def row(
    batch: int, step_seconds: float, *, side: int = 1024, around_seconds: float = 0.5
) -> dict[str, object]:
    return {
        "model": "sdxl",
        "width": side,
        "height": side,
        "batch": batch,
        "step_seconds": step_seconds,
        "around_seconds": around_seconds,
    }


def test_step_is_linear_between_batches_and_proportional_beyond_them() -> None:
    (times,) = step_times([row(1, 1.0), row(2, 1.6), row(4, 3.0)])
    seconds = [times.main.step_seconds(batch) for batch in (1, 2, 3, 4, 8)]
    assert seconds == pytest.approx([1.0, 1.6, 2.3, 3.0, 6.0])


def test_image_has_a_share_of_each_step_and_the_time_around_them() -> None:
    (times,) = step_times([row(1, 1.0), row(2, 1.6, around_seconds=0.4)])
    assert times.main.image_seconds(10, batch=1) == pytest.approx(10.5)
    assert times.main.image_seconds(10, batch=2) == pytest.approx(10 * 0.8 + 0.4)


def test_caps_are_those_that_the_warm_up_would_measure() -> None:
    (times,) = step_times([row(1, 1.0), row(2, 1.6), row(4, 3.4), row(1, 0.3, side=512)])
    assert times.slots(max_batch=8) == 2  # four images in a step take longer each than two
    assert times.slots(max_batch=1) == 1
    assert times.caps(max_batch=8).cap_of(times.of_side(512).key) == 8


def test_step_times_without_a_batch_of_one_are_refused() -> None:
    with pytest.raises(ValueError, match="the row of batch 1 is missing"):
        step_times([row(2, 1.6)])


def test_unmeasured_side_is_refused_with_the_measured_ones() -> None:
    (times,) = step_times([row(1, 1.0), row(1, 0.3, side=512)])
    with pytest.raises(ValueError, match=r"measured at 1024, 512 pixels \(got 768\)"):
        times.of_side(768)


def test_step_times_are_read_from_a_report(tmp_path: Path) -> None:
    file = tmp_path / "gpu.json"
    file.write_text(json.dumps({"rows": [], "step_times": [row(1, 1.0)]}))
    (times,) = read_step_times(file)
    assert times.main.step_seconds(1) == 1.0
