"""Batch files with one JSON submission per line, and the outcome of each line."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any, NoReturn, cast

import typer

from darkroom.cli.exit_codes import ExitCode, exit_code_of
from darkroom.cli.warning_lines import print_warnings
from darkroom.errors import ClientError
from darkroom.models.task import Task
from darkroom.plain_text import printable
from darkroom.resources.batches import Outcome, batch_item
from darkroom.submission import Submission, SubmissionFields

_BYTE_ORDER_MARK = "\ufeff"
_MAX_DIGITS = 400


def submissions_in(lines: Iterable[str], *, usual: SubmissionFields, key: str) -> dict[int, Submission]:
    """Parse the submissions, keyed by line number from 1; empty lines are skipped.

    Bytes that are not UTF-8 are expected as lone surrogates (`errors="surrogateescape"`). `usual`
    provides the defaults for omitted fields. A line without an `idempotency_key` gets one derived
    from its number and `key`. Raises typer.BadParameter, which names the line.
    """
    found: dict[int, Submission] = {}
    for number, line in enumerate(lines, start=1):
        text = line.removeprefix(_BYTE_ORDER_MARK) if number == 1 else line
        if not text.strip():
            continue
        try:
            fields = _parsed(text)
            submission = cast("Submission", {**usual, "idempotency_key": f"{key}-{number}", **fields})
            batch_item(submission)  # report refused values before anything is sent
        except (ValueError, RecursionError) as error:
            why = "is nested too deeply" if isinstance(error, RecursionError) else str(error)
            raise typer.BadParameter(f"line {number} {why}", param_hint="--batch") from error
        except ClientError as error:
            raise typer.BadParameter(f"line {number}: {error}", param_hint="--batch") from error
        found[number] = submission
    return found


def report_by_line(outcomes: Mapping[int, Outcome], *, key: str) -> tuple[dict[int, Task], ExitCode]:
    """Print warnings, refusals and unknown outcomes to standard error.

    Returns the accepted tasks by line, and the exit code.
    """
    tasks = {number: outcome for number, outcome in outcomes.items() if isinstance(outcome, Task)}
    for number, task in tasks.items():
        print_warnings(task.warnings, line=number)
    errors = {number: outcome for number, outcome in outcomes.items() if isinstance(outcome, ClientError)}
    code = ExitCode.DONE
    for message, group in groupby(errors.items(), key=lambda item: str(item[1])):
        members = list(group)
        typer.echo(f"{_lines([number for number, _ in members])}: {message}", err=True)
        code = exit_code_of(members[-1][1])
    unknown = [number for number, error in errors.items() if error.outcome_is_unknown]
    if unknown:
        typer.echo(
            f"The outcome of {_lines(unknown)} is unknown: tasks may have been accepted. The same command with\n"
            f"--idempotency-key {printable(key)} finds them and makes no second task.",
            err=True,
        )
    return tasks, code


def _parsed(line: str) -> dict[str, Any]:
    """Parse a line. Raises ValueError, whose message follows `line 1`."""
    try:
        line.encode()
    except UnicodeEncodeError:
        raise ValueError("is not UTF-8") from None
    try:
        fields = json.loads(line, parse_constant=_refused, parse_float=_finite, parse_int=_bounded)
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON: {error.msg}, column {error.colno}") from error
    if not isinstance(fields, dict) or not isinstance(fields.get("prompt"), str):
        raise ValueError("must be an object with a prompt, a text")
    return fields


def _refused(constant: str) -> NoReturn:
    raise ValueError(f"holds {constant}, which is not JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"holds {digits[:40]}, which is too large for a number")
    return number


def _bounded(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise ValueError(f"holds a number of {len(digits)} digits, which is too large")
    return int(digits)


def _lines(numbers: Sequence[int]) -> str:
    """Format line numbers: `line 3`, or `lines 1-4, 7`."""
    spans: list[tuple[int, int]] = []
    for number in numbers:
        if spans and spans[-1][1] == number - 1:
            spans[-1] = (spans[-1][0], number)
        else:
            spans.append((number, number))
    said = ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in spans)
    return f"line {said}" if len(numbers) == 1 else f"lines {said}"
