"""The report of a soak in parts, and the growth of memory and disk space."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from tools.soak import soak_in_parts
from tools.soak_growth import Growth, GrowthSampler
from tools.soak_report import SoakReport

PART = SoakReport(
    seed=7,
    minutes=1.5,
    engine="stand_in",
    machine="a machine",
    tasks=400,
    rejected=2,
    statuses={"completed": 390, "cancelled": 10},
    attempts={"1": 395, "2": 5},
    faults={"worker killed": 3},
    lost=0,
    doubled=0,
    corrupt=0,
    miscounted=0,
    gpu_seconds=2.5,
    wasted_gpu_seconds=0.5,
    leftovers=1,
    memory={"api": Growth(0.5, 100)},
    disk={"logs": Growth(2.0, 200)},
    findings=(),
)


def test_parts_are_added_until_the_number_of_tasks(tmp_path: Path) -> None:
    seeds: list[int] = []

    def part(seed: int) -> SoakReport:
        seeds.append(seed)
        return replace(PART, seed=seed, memory={"api": Growth(float(seed), 100)})

    report = soak_in_parts(tmp_path, part, seed=7, tasks=1_000)
    assert seeds == [7, 8, 9]
    assert report == SoakReport.read(tmp_path / "soak.json")
    assert (report.seed, report.tasks, report.minutes) == (7, 1_200, 4.5)
    assert report.statuses == {"cancelled": 30, "completed": 1_170}
    assert report.memory == {"api": Growth(8.0, 300)}
    assert report.disk == {"logs": Growth(2.0, 600)}


def test_stopped_soak_continues_with_its_next_part(tmp_path: Path) -> None:
    def stopped(seed: int) -> SoakReport:
        if seed == 8:
            raise KeyboardInterrupt
        return replace(PART, seed=seed)

    with pytest.raises(KeyboardInterrupt):
        soak_in_parts(tmp_path, stopped, seed=7, tasks=800)
    report = soak_in_parts(tmp_path, lambda seed: replace(PART, seed=seed), seed=1, tasks=800)
    assert report.tasks == 800
    assert [SoakReport.read(tmp_path / "parts" / f"000{n}.json").seed for n in range(2)] == [7, 8]


def test_soak_ends_with_the_part_that_finds_something(tmp_path: Path) -> None:
    bad = replace(PART, lost=1, findings=("task-1 is lost",))
    report = soak_in_parts(tmp_path, lambda _: bad, seed=7, tasks=10_000)
    assert (report.tasks, report.lost, report.findings) == (400, 1, ("task-1 is lost",))


def test_growth_is_the_slope_per_thousand_tasks() -> None:
    assert Growth.of([(0, 100.0), (1_000, 102.0), (2_000, 104.0)]) == pytest.approx((2.0, 2_000))
    assert Growth.of([(1_000, 100.0), (1_000, 180.0)]) == (0.0, 0)


def test_mean_growth_is_weighted_by_tasks() -> None:
    parts = [Growth(4.0, 1_000), Growth(1.0, 2_000), Growth(0.0, 0)]
    assert Growth.mean(parts) == (2.0, 3_000)
    assert Growth.mean([Growth(0.0, 0)]) == (0.0, 0)


def test_growth_of_processes_and_folders_is_sampled(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    tasks = 0
    sampler = GrowthSampler(processes=lambda: {"this": os.getpid()}, folder=tmp_path, tasks=lambda: tasks)
    for tasks in range(0, 24_000, 1_000):
        (logs / "api.log").write_bytes(b"x" * (tasks << 10))
        sampler.sample()
    assert sampler.disk() == {"logs": pytest.approx((1_000 / 1_024, 15_000))}
    assert sampler.memory()["this"].tasks == 15_000
