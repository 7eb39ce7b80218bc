"""Batch files with one JSON submission per line, and the outcome of each line."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any, NoReturn, cast

import typer

from darkroom.cli.exit_codes import ExitCode, exit_code_of
from darkroom.cli.output import print_warnings
from darkroom.errors import ClientError, printable
from darkroom.models.task import Task
from darkroom.resources.batches import Outcome, batch_item
from darkroom.submission import Submission, SubmissionFields

_BYTE_ORDER_MARK = "\ufeff"
_MAX_DIGITS = 400


def read_submissions(lines: Iterable[str], *, defaults: SubmissionFields, key: str) -> dict[int, Submission]:
    """Parse the submissions, keyed by line number from 1; empty lines are skipped.

    Bytes that are not UTF-8 are expected as lone surrogates (`errors="surrogateescape"`).
    `defaults` are the values of omitted fields. A line without an `idempotency_key` gets one
    derived from its number and `key`. Raises typer.BadParameter, which names the line.
    """
    submissions: dict[int, Submission] = {}
    for number, line in enumerate(lines, start=1):
        text = line.removeprefix(_BYTE_ORDER_MARK) if number == 1 else line
        if not text.strip():
            continue
        try:
            fields = {**defaults, "idempotency_key": f"{key}-{number}", **_parse(text)}
            submission = cast("Submission", fields)
            batch_item(submission)  # report refused values before anything is sent
        except (ValueError, RecursionError) as error:
            reason = "is nested too deeply" if isinstance(error, RecursionError) else str(error)
            raise typer.BadParameter(f"line {number} {reason}", param_hint="--batch") from error
        except ClientError as error:
            raise typer.BadParameter(f"line {number}: {error}", param_hint="--batch") from error
        submissions[number] = submission
    return submissions


def report_outcomes(outcomes: Mapping[int, Outcome], *, key: str) -> tuple[dict[int, Task], ExitCode]:
    """Print warnings, refusals and unknown outcomes to standard error.

    Returns the accepted tasks by line, and the exit code.
    """
    tasks = {number: outcome for number, outcome in outcomes.items() if isinstance(outcome, Task)}
    for number, task in tasks.items():
        print_warnings(task.warnings, line=number)
    errors = {number: outcome for number, outcome in outcomes.items() if isinstance(outcome, ClientError)}
    code = ExitCode.SUCCESS
    for message, group in groupby(errors.items(), key=lambda item: str(item[1])):
        members = list(group)
        typer.echo(f"{_format_lines([number for number, _ in members])}: {message}", err=True)
        code = exit_code_of(members[-1][1])
    unknown = [number for number, error in errors.items() if error.outcome_is_unknown]
    if unknown:
        typer.echo(
            f"The outcome of {_format_lines(unknown)} is unknown: tasks may have been accepted. Repeat the\n"
            f"command with --idempotency-key {printable(key)}: it returns such tasks and creates no second one.",
            err=True,
        )
    return tasks, code


def _parse(line: str) -> dict[str, Any]:
    """Parse a line. Raises ValueError; its message continues `line 1`."""
    try:
        line.encode()
    except UnicodeEncodeError:
        raise ValueError("is not UTF-8") from None
    try:
        fields = json.loads(
            line, parse_constant=_reject_constant, parse_float=_finite_float, parse_int=_bounded_int
        )
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON: {error.msg}, column {error.colno}") from error
    if not isinstance(fields, dict) or not isinstance(fields.get("prompt"), str):
        raise ValueError("must be a JSON object with a string `prompt`")
    return fields


def _reject_constant(constant: str) -> NoReturn:
    raise ValueError(f"contains {constant}, which is not JSON")


def _finite_float(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"contains {digits[:40]}, which is too large for a number")
    return number


def _bounded_int(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise ValueError(f"contains a number of {len(digits)} digits, which is too large")
    return int(digits)


def _format_lines(numbers: Sequence[int]) -> str:
    """Format line numbers: `line 3`, or `lines 1-4, 7`."""
    spans: list[tuple[int, int]] = []
    for number in numbers:
        if spans and spans[-1][1] == number - 1:
            spans[-1] = (spans[-1][0], number)
        else:
            spans.append((number, number))
    text = ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in spans)
    return f"line {text}" if len(numbers) == 1 else f"lines {text}"
