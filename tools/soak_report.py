"""SoakReport: the load and the findings of a soak test, as JSON and as a Markdown table."""

import json
import os
import platform
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from common.domain.task import Task
from tests.chaos.checker import Kind, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class SoakReport:
    """One soak test. `findings` are sentences; the test passes without any."""

    seed: int
    minutes: float
    engine: str
    machine: str
    tasks: int
    refused: int
    """Rejected submissions, which have no guarantees."""
    endings: Mapping[str, int]
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
    litter: int
    findings: tuple[str, ...]

    @property
    def faults_in_all(self) -> int:
        """Return the number of injected faults."""
        return sum(self.faults.values())

    def write(self, folder: Path) -> None:
        """Write soak.json and soak.md."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "soak.json").write_text(json.dumps(asdict(self), indent=2) + "\n", "utf-8")
        (folder / "soak.md").write_text(self.table(), "utf-8")

    def table(self) -> str:
        """Return the report in Markdown."""
        rows = {
            "seed": str(self.seed),
            "minutes": f"{self.minutes:.1f}",
            "machine": self.machine,
            "engine": self.engine,
            "tasks accepted": str(self.tasks),
            "submissions refused": str(self.refused),
            "endings": _listed(self.endings),
            "ended in attempt": _listed(self.attempts),
            "faults": f"{self.faults_in_all}, one for {self.tasks / max(1, self.faults_in_all):.0f} tasks",
            **{f"– {kind}": str(count) for kind, count in self.faults.items()},
            "**lost**": str(self.lost),
            "**doubled**": str(self.doubled),
            "**corrupt**": str(self.corrupt),
            "**miscounted**": str(self.miscounted),
            "GPU seconds, of these wasted": f"{self.gpu_seconds:.1f}, {self.wasted_gpu_seconds:.1f}",
            "objects left by dead attempts": str(self.litter),
        }
        lines = ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())]
        return "\n".join([*lines, "", *self.findings]) + "\n"


def reported(
    *,
    seed: int,
    minutes: float,
    engine: str,
    refused: int,
    faults: Mapping[str, int],
    documents: Mapping[str, Task],
    verdict: Verdict,
    tasks: int,
) -> SoakReport:
    """Build the report from the results."""
    found = documents.values()
    return SoakReport(
        seed=seed,
        minutes=minutes,
        engine=engine,
        machine=f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        tasks=tasks,
        refused=refused,
        endings=_counted(task.status.value for task in found),
        attempts=_counted(str(task.attempt) for task in found),
        faults=dict(sorted(faults.items())),
        lost=verdict.count(Kind.LOST),
        doubled=verdict.count(Kind.DOUBLED),
        corrupt=verdict.count(Kind.CORRUPT),
        miscounted=verdict.count(Kind.MISCOUNTED),
        gpu_seconds=sum(task.usage.gpu_seconds or 0.0 for task in found),
        wasted_gpu_seconds=sum(task.usage.wasted_gpu_seconds for task in found),
        litter=len(verdict.litter),
        findings=tuple(str(finding) for finding in verdict.findings),
    )


def _counted(values: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name}: {count}" for name, count in counts.items())
