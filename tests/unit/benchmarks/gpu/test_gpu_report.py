"""The rules of the GPU benchmark without any measurement."""

from pathlib import Path

import pytest
import torch

from benchmarks.gpu.architectures import ARCHITECTURES
from benchmarks.gpu.budget import Budget
from benchmarks.gpu.cases import PLAIN, Case, Kind, planned
from benchmarks.gpu.device_figures import counted_flops, idle_share_of
from benchmarks.gpu.report import JSON_FILE, Report, Row


def test_most_important_cases_come_first() -> None:
    cases = list(planned("sdxl", (1024, 512), (2, 4, 8)))
    assert cases[0] == Case(kind=Kind.STOCK, model="sdxl", side=1024)
    engine = [(case.side, case.batch) for case in cases if case.kind is Kind.ENGINE and case.variant == PLAIN]
    assert engine == [(side, batch) for side in (1024, 512) for batch in (1, 8, 4, 2)]
    optional = [case.variant != PLAIN for case in cases]
    assert optional == sorted(optional), "optional variants come last"
    assert len(set(cases)) == len(cases)


@pytest.mark.parametrize(
    ("intervals", "idle"),
    [
        ([(0.0, 1.0), (1.0, 4.0)], 0.0),
        ([(3.0, 4.0), (0.0, 1.0)], 0.5),
        ([(0.0, 3.0), (1.0, 2.0), (4.0, 5.0)], 0.2),
    ],
)
def test_idle_share_is_the_time_that_no_interval_covers(
    intervals: list[tuple[float, float]], idle: float
) -> None:
    assert idle_share_of(intervals) == pytest.approx(idle)


def test_idle_share_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no work"):
        idle_share_of([])


def test_counted_flops_contain_attention_on_a_cpu() -> None:
    query = torch.randn(1, 2, 16, 8)
    attention = counted_flops(lambda: torch.nn.functional.scaled_dot_product_attention(query, query, query))
    assert attention == 2 * (2 * 2 * 16 * 16 * 8)


def test_budget_counts_from_its_creation() -> None:
    now = 10.0
    budget = Budget(seconds=5.0, clock=lambda: now)
    assert budget.fits(4.9)
    now = 14.0
    assert not budget.fits(1.0)
    now = 16.0
    assert budget.left == 0.0


def test_each_row_is_written_when_it_is_added(tmp_path: Path) -> None:
    report = Report(folder=tmp_path, about={"device": "none"})
    for number in (1, 2):
        report.add(Row(case=Case(kind=Kind.STOCK, model="sdxl", side=1024), missing="the time was spent"))
        assert (tmp_path / JSON_FILE).read_text().count("the time was spent") == number


@pytest.mark.parametrize(
    ("name", "network", "parameters"),
    [
        ("sdxl", "unet", 2_567_463_684),
        ("sdxl", "text_encoder", 123_060_480),
        ("sdxl", "text_encoder_2", 694_659_840),
        ("sdxl", "vae", 83_653_863),
        ("flux", "transformer", 11_901_408_320),
        ("flux", "text_encoder_2", 4_762_310_656),
        ("flux", "vae", 83_819_683),
    ],
)
def test_architecture_has_the_published_number_of_parameters(
    name: str, network: str, parameters: int
) -> None:
    pipeline = ARCHITECTURES[name].created(device=torch.device("meta"), dtype=torch.bfloat16)
    weights = list(getattr(pipeline, network).parameters())
    assert sum(weight.numel() for weight in weights) == parameters
    assert {weight.dtype for weight in weights} == {torch.bfloat16}
    assert pipeline.scheduler.timesteps.device.type == "cpu"
