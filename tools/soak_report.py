"""SoakReport: the load and the findings of a soak test, as JSON and as a Markdown table."""

import json
import os
import platform
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

from common.domain.task import Task
from tools.integrity.checker import Kind, Verdict
from tools.soak_growth import Growth

_SUMS = (
    "minutes",
    "tasks",
    "rejected",
    "lost",
    "doubled",
    "corrupt",
    "miscounted",
    "gpu_seconds",
    "wasted_gpu_seconds",
    "leftovers",
)


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
    memory: Mapping[str, Growth]
    """By process. Of several parts, the mean."""
    disk: Mapping[str, Growth]
    """By folder. Of several parts, the mean."""
    findings: tuple[str, ...]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what `write` wrote."""
        fields = json.loads(path.read_text("utf-8"))
        growth = {
            kind: {name: Growth(*values) for name, values in fields[kind].items()}
            for kind in ("memory", "disk")
        }
        return cls(**{**fields, **growth, "findings": tuple(fields["findings"])})

    @classmethod
    def combined(cls, parts: Sequence[Self]) -> Self:
        """Return the sum of at least one part. The seed is the first part's."""

        def counts(name: str) -> dict[str, int]:
            return _count(key for part in parts for key in Counter(getattr(part, name)).elements())

        sums: dict[str, Any] = {name: sum(getattr(part, name) for part in parts) for name in _SUMS}
        return replace(
            parts[0],
            **sums,
            statuses=counts("statuses"),
            attempts=counts("attempts"),
            faults=counts("faults"),
            memory=_mean_growth([part.memory for part in parts]),
            disk=_mean_growth([part.disk for part in parts]),
            findings=tuple(finding for part in parts for finding in part.findings),
        )

    def write(self, folder: Path, name: str = "soak") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.json").write_text(json.dumps(asdict(self), indent=2) + "\n", "utf-8")
        (folder / f"{name}.md").write_text(self.table(), "utf-8")

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
            "growth of memory, MiB per 1,000 tasks": _format_growth(self.memory),
            "growth of disk space, MiB per 1,000 tasks": _format_growth(self.disk),
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
    memory: Mapping[str, Growth],
    disk: Mapping[str, Growth],
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
        memory=memory,
        disk=disk,
        findings=tuple(str(finding) for finding in verdict.findings),
    )


def _count(values: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))


def _format_counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name}: {count}" for name, count in counts.items())


def _mean_growth(parts: Sequence[Mapping[str, Growth]]) -> dict[str, Growth]:
    names = sorted({name for part in parts for name in part})
    return {name: Growth.mean(part[name] for part in parts if name in part) for name in names}


def _format_growth(growth: Mapping[str, Growth]) -> str:
    return ", ".join(f"{name}: {each.mebibytes_per_1000_tasks:.1f}" for name, each in growth.items())
