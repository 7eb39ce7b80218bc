"""The command with a table of times; torch is not imported."""

import json
from pathlib import Path

import pytest

from benchmarks.fleet.command import main
from benchmarks.fleet.sizing import POLICIES


@pytest.fixture
def times(tmp_path: Path) -> Path:
    rows = [
        {
            "model": "sdxl",
            "width": 1024,
            "height": 1024,
            "batch": batch,
            "step_seconds": seconds,
            "around_seconds": 1,
        }
        for batch, seconds in ((1, 1.0), (2, 1.6))
    ]
    file = tmp_path / "times.json"
    file.write_text(json.dumps({"step_times": rows}))
    return file


def test_fleet_command_predicts_every_policy(times: Path, tmp_path: Path) -> None:
    output = tmp_path / "fleet.json"
    asked = ["--times", str(times), "--rates", "10", "--steps", "4", "--price", "3", "--output", str(output)]
    assert main(asked) == 0
    rows = json.loads(output.read_text())
    assert [row["policy"] for row in rows] == [policy.name for policy in POLICIES]
    always_on, scaled, _ = rows[:3]
    assert always_on["gpus"] == 1
    assert always_on["cost_per_1000"] == pytest.approx(300)
    assert scaled["cost_per_1000"] < 300, "a fleet that scales to zero costs less at ten images an hour"
    assert scaled["p99_seconds"] > always_on["p99_seconds"]
    assert not any(row["unfinished"] for row in rows)


def test_fleet_command_refuses_a_size_that_was_not_measured(
    times: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["--times", str(times), "--mix", "768=1"])
    assert "sdxl was measured at 1024 pixels (got 768)" in capsys.readouterr().err
