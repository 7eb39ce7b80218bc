"""The report: JSON for programs and Markdown for readers, written again after each row.

A run that is killed keeps every row that it had measured.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.gpu.cases import PLAIN, Case, Kind
from benchmarks.measurement import Spread

JSON_FILE, MARKDOWN_FILE = "gpu.json", "gpu.md"

Figures = dict[str, Spread | float]
"""Measured values by name. The unit is the end of the name: `_seconds`, `_bytes`, `_flops`, `_share`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A case and its figures, or the reason why it has none."""

    case: Case
    figures: Figures = field(default_factory=dict)
    missing: str | None = None

    def figure(self, name: str) -> float | None:
        """Return a figure's value, the median of several; None if it was not measured."""
        value = self.figures.get(name)
        return value.median if isinstance(value, Spread) else value


@dataclass(slots=True, kw_only=True)
class Report:
    """All rows so far. `about` describes the machine and the run."""

    folder: Path
    about: dict[str, Any]
    rows: list[Row] = field(default_factory=list)

    def add(self, row: Row) -> None:
        """Add a row and write both files."""
        self.rows.append(row)
        self.write()

    def write(self) -> None:
        """Replace both files, so that a reader never finds half of one."""
        self.folder.mkdir(parents=True, exist_ok=True)
        _replace(self.folder / JSON_FILE, json.dumps(self.as_json(), indent=1))
        _replace(self.folder / MARKDOWN_FILE, self.as_markdown())

    def as_json(self) -> dict[str, Any]:
        """Return the report for programs, with the step times that `benchmarks fleet` reads."""
        return {
            **self.about,
            "rows": [
                {
                    **asdict(row.case),
                    "figures": {
                        name: asdict(value) if isinstance(value, Spread) else value
                        for name, value in row.figures.items()
                    },
                    "missing": row.missing,
                }
                for row in self.rows
            ],
            "step_times": [_step_time(row) for row in self.rows if _has_step_time(row)],
        }

    def as_markdown(self) -> str:
        """Return the report for readers."""
        facts = [f"- {name.replace('_', ' ')}: {value}" for name, value in self.about.items()]
        lines = [
            "# GPU benchmark",
            "",
            *facts,
            "",
            *_throughput_table(self.rows),
            "",
            *_other_table(self.rows),
        ]
        lines += _missing(self.rows)
        return "\n".join(lines) + "\n"


def _throughput_table(rows: list[Row]) -> list[str]:
    table = [
        "| model | size | mode | images per step | seconds per image | × stock | of the matrix rate | peak memory |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        seconds = row.figures.get("image_seconds")
        if not isinstance(seconds, Spread):
            continue
        case = row.case
        mode = case.kind.value if case.variant == PLAIN else f"{case.kind.value}, {case.variant}"
        table.append(
            f"| {case.model} | {case.side}² | {mode} | {case.batch} | {seconds.format(digits=3)} | "
            f"{_number(row.figure('stock_ratio'), '{:.2f}')} | {_number(row.figure('utilisation_share'), '{:.1%}')} | "
            f"{_number(row.figure('peak_bytes'), '{:.2f} GB', 1e9)} |"
        )
    return table


_OTHERS = (
    # kind, figure, meaning, unit, units of the figure in one of it, digits
    (Kind.MATRIX_RATE, "matrix_flops", "matrix rate", "TFLOP/s", 1e12, 2),
    (Kind.IDLE, "idle_share", "device without work, under backlog", "%", 1e-2, 1),
    (Kind.ADMISSION, "joining_seconds", "from the arrival of an image to its first step", "ms", 1e-3, 0),
    (Kind.ADMISSION, "joining_steps", "the same in steps of the full batch", "steps", 1.0, 2),
    (Kind.ENGINE, "decoding_seconds", "decoding of an image", "ms", 1e-3, 1),
    (Kind.ENGINE, "outside_steps_seconds", "time outside the steps per image", "ms", 1e-3, 1),
    (Kind.ENGINE, "hidden_decoding_share", "decoding that overlaps with steps", "%", 1e-2, 0),
)


def _other_table(rows: list[Row]) -> list[str]:
    """Return the figures besides throughput; those of the engine for its largest batch only."""
    largest = max((row.case.batch for row in rows), default=1)
    table = ["| figure | case | value |", "|---|---|---|"]
    for kind, name, meaning, unit, size, digits in _OTHERS:
        for row in rows:
            value = row.figures.get(name)
            if (
                row.case.kind is kind
                and value is not None
                and (kind is not Kind.ENGINE or row.case.batch == largest)
            ):
                table.append(f"| {meaning} | {row.case.name} | {_formatted(value, unit, size, digits)} |")
    return table


def _missing(rows: list[Row]) -> list[str]:
    found = [f"| {row.case.name} | {row.missing} |" for row in rows if row.missing is not None]
    return ["", "| not measured | reason |", "|---|---|", *found] if found else []


def _formatted(value: Spread | float, unit: str, size: float, digits: int) -> str:
    if not isinstance(value, Spread):
        return f"{value / size:.{digits}f} {unit}"
    scaled = Spread(
        median=value.median / size, low=value.low / size, high=value.high / size, count=value.count
    )
    return scaled.format(f" {unit}", digits)


def _number(value: float | None, template: str, divisor: float = 1.0) -> str:
    return "–" if value is None else template.format(value / divisor)


def _has_step_time(row: Row) -> bool:
    return row.case.kind is Kind.ENGINE and "step_seconds" in row.figures


def _step_time(row: Row) -> dict[str, Any]:
    case = row.case
    return {
        "model": case.model if case.variant == PLAIN else f"{case.model}, {case.variant}",
        "width": case.side,
        "height": case.side,
        "batch": case.batch,
        "step_seconds": row.figure("step_seconds"),
        "around_seconds": row.figure("outside_steps_seconds"),
    }


def _replace(file: Path, text: str) -> None:
    written = file.with_suffix(file.suffix + ".new")
    written.write_text(text, encoding="utf-8")
    written.replace(file)
