"""Files of submissions, one JSON object in each line; and what became of the lines."""

import json
from collections.abc import Iterable, Mapping
from typing import cast

import typer

from client.command.exit_codes import ExitCode, exit_code_of
from client.command.warning_lines import print_warnings
from client.errors import ClientError
from client.submission import Submission, SubmissionFields
from client.task import Task


def submissions_in(lines: Iterable[str], *, usual: SubmissionFields, key: str) -> dict[int, Submission]:
    """The submissions by their lines' numbers, from 1; empty lines are none.

    `usual` is what a line leaves out. A line without an `idempotency_key` has one that its number and `key` make.
    """
    found: dict[int, Submission] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            fields = json.loads(line)
        except ValueError as error:
            raise typer.BadParameter(f"line {number} is not JSON: {error}", param_hint="--batch") from error
        if not isinstance(fields, dict) or not isinstance(fields.get("prompt"), str):
            raise typer.BadParameter(
                f"line {number} must be an object with a prompt, a text", param_hint="--batch"
            )
        found[number] = cast("Submission", {**usual, "idempotency_key": f"{key}-{number}", **fields})
    return found


def told_by_line(outcomes: Mapping[int, Task | ClientError]) -> tuple[list[Task], ExitCode]:
    """The tasks that were accepted, and what to exit with. Refusals are told, by line."""
    tasks, code = [], ExitCode.DONE
    for number, outcome in outcomes.items():
        if isinstance(outcome, Task):
            tasks.append(outcome)
            print_warnings(outcome.warnings, line=number)
        else:
            typer.echo(f"line {number}: {outcome}", err=True)
            code = exit_code_of(outcome)
    return tasks, code
