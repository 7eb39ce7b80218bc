"""SoakReport: the load and the findings of a soak test, as JSON and as a Markdown table."""

import json
import os
import platform
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from common.domain.task import Task
from tools.integrity.checker import Kind, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class SoakReport:
    """One soak test, which passes without `findings`."""

    seed: int
    minutes: float
    engine: str
    machine: str
    tasks: int
    rejected: int
    """Rejected submissions, which have no guarantees."""
    statuses: Mapping[str, int]
    attempts: Mapping[str, int]
    """The number of tasks that finished in each attempt."""
    faults: Mapping[str, int]
    lost: int
    doubled: int
    corrupt: int
    miscounted: int
    gpu_seconds: float
    wasted_gpu_seconds: float
    """From the tasks' documents; for a killed worker, until its last heartbeat."""
    leftovers: int
    findings: tuple[str, ...]

    def write(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "soak.json").write_text(json.dumps(asdict(self), indent=2) + "\n", "utf-8")
        (folder / "soak.md").write_text(self.table(), "utf-8")

    def table(self) -> str:
        fault_count = sum(self.faults.values())
        rows = {
            "seed": str(self.seed),
            "minutes": f"{self.minutes:.1f}",
            "machine": self.machine,
            "engine": self.engine,
            "tasks accepted": str(self.tasks),
            "submissions rejected": str(self.rejected),
            "final statuses": _format_counts(self.statuses),
            "finished in attempt": _format_counts(self.attempts),
            "faults": f"{fault_count}, one per {self.tasks / max(1, fault_count):.0f} tasks",
            **{f"– {kind}": str(count) for kind, count in self.faults.items()},
            "**lost**": str(self.lost),
            "**doubled**": str(self.doubled),
            "**corrupt**": str(self.corrupt),
            "**miscounted**": str(self.miscounted),
            "GPU seconds, wasted GPU seconds": f"{self.gpu_seconds:.1f}, {self.wasted_gpu_seconds:.1f}",
            "objects of crashed attempts": str(self.leftovers),
        }
        lines = ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())]
        return "\n".join([*lines, "", *self.findings]) + "\n"


def create_report(
    *,
    seed: int,
    minutes: float,
    engine: str,
    rejected: int,
    faults: Mapping[str, int],
    documents: Mapping[str, Task],
    verdict: Verdict,
    tasks: int,
) -> SoakReport:
    found = documents.values()
    return SoakReport(
        seed=seed,
        minutes=minutes,
        engine=engine,
        machine=f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        tasks=tasks,
        rejected=rejected,
        statuses=_count(task.status.value for task in found),
        attempts=_count(str(task.attempt) for task in found),
        faults=dict(sorted(faults.items())),
        lost=verdict.count(Kind.LOST),
        doubled=verdict.count(Kind.DOUBLED),
        corrupt=verdict.count(Kind.CORRUPT),
        miscounted=verdict.count(Kind.MISCOUNTED),
        gpu_seconds=sum(task.usage.gpu_seconds or 0.0 for task in found),
        wasted_gpu_seconds=sum(task.usage.wasted_gpu_seconds for task in found),
        leftovers=len(verdict.leftovers),
        findings=tuple(str(finding) for finding in verdict.findings),
    )


def _count(values: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))


def _format_counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name}: {count}" for name, count in counts.items())
