"""The whole command on a CPU, with tiny networks."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.gpu.command import main
from benchmarks.gpu.report import JSON_FILE, MARKDOWN_FILE


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Restore the threads that the command sets. More of them would wait for busy processors."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    asked = ["--model", "tiny", "--batches", "2", "--steps", "2", "--device", "cpu", "--cpu-threads", "1"]
    assert main([*asked, "--output", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def report(output: Path) -> dict[str, Any]:
    return json.loads((output / JSON_FILE).read_text())


def figures(report: dict[str, Any], **case: object) -> dict[str, Any]:
    (row,) = [row for row in report["rows"] if case.items() <= row.items()]
    return row["figures"]


def test_gpu_command_measures_every_case_or_states_a_reason(report: dict[str, Any]) -> None:
    assert {row["kind"] for row in report["rows"]} == {
        "matrix_rate",
        "stock",
        "engine",
        "idle_share",
        "admission",
    }
    missing = [row for row in report["rows"] if row["missing"] is not None]
    assert {row["variant"] for row in missing} == {"compiled", "compiled, fp8"}
    assert all(row["figures"] for row in report["rows"] if row["missing"] is None)


def test_engine_is_compared_with_stock_and_the_matrix_rate(report: dict[str, Any]) -> None:
    stock = figures(report, kind="stock", side=128)
    rate = figures(report, kind="matrix_rate")["matrix_flops"]["median"]
    engine = figures(report, kind="engine", side=128, batch=2, variant="plain")
    seconds = engine["image_seconds"]["median"]
    assert engine["stock_ratio"] == pytest.approx(stock["image_seconds"]["median"] / seconds)
    assert engine["utilisation_share"] == pytest.approx(stock["image_flops"] / seconds / rate)
    assert engine["image_flops"] == stock["image_flops"] > 0
    assert engine["image_seconds"]["count"] == 3
    assert engine["step_seconds"] > 0
    assert 0 <= engine["hidden_decoding_share"] <= 1


def test_report_has_step_times_for_the_fleet_simulation(report: dict[str, Any]) -> None:
    sizes = {(each["model"], each["width"], each["batch"]) for each in report["step_times"]}
    assert sizes == {("tiny", side, batch) for side in (128, 64) for batch in (1, 2)}


def test_markdown_report_has_a_line_for_each_case(output: Path, report: dict[str, Any]) -> None:
    text = (output / MARKDOWN_FILE).read_text()
    for row in report["rows"]:
        if "image_seconds" in row["figures"]:
            assert f"| {row['model']} | {row['side']}² | {row['kind']} | {row['batch']} |" in text
    assert "| the engine compiles on a GPU only |" in text


def test_gpu_command_skips_all_cases_when_the_time_is_spent(tmp_path: Path) -> None:
    assert (
        main(
            [
                "--model",
                "tiny",
                "--minutes",
                "0",
                "--device",
                "cpu",
                "--cpu-threads",
                "1",
                "--output",
                str(tmp_path),
            ]
        )
        == 0
    )
    rows = json.loads((tmp_path / JSON_FILE).read_text())["rows"]
    assert {row["missing"] for row in rows} == {"the time was spent"}


def test_gpu_command_refuses_a_batch_of_one(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--batches", "1", "4"])
    assert "--batches must be 2 or more" in capsys.readouterr().err
