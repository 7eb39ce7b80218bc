"""darkroom dead-letters: list, show, replay and purge dead letters."""

import json
import re
from datetime import datetime, timedelta, timezone
from itertools import islice
from typing import Annotated

import typer

from darkroom.cli.options import JsonOption, LimitOption, YesOption, client_of, with_options
from darkroom.cli.output import (
    age,
    counted,
    exit_with,
    facts,
    for_each,
    one_line,
    plain,
    print_json,
    print_listing,
    print_record,
    print_records,
)
from darkroom.errors import printable
from darkroom.models.dead_letter import DeadLetter
from darkroom.models.task import Task
from darkroom.sync_client import Client

app = typer.Typer(
    help="Messages that no worker could read or finish. For operators.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_REASON_CHARACTERS = 80
_AGE = re.compile(r"(\d{1,5})(s|min|h|d)")
_SECONDS = {"s": 1, "min": 60, "h": 3_600, "d": 86_400}


@app.command("list")
@with_options(client=client_of)
def list_letters(*, limit: LimitOption = 50, as_json: JsonOption = False, client: Client) -> None:
    """List dead letters, newest first."""
    letters = list(islice(client.dead_letters(), limit + 1))
    now = datetime.now(timezone.utc)
    print_listing(
        letters,
        ("ID", "DIED", "DELIVERIES", "TASK", "REASON"),
        lambda letter: _row(letter, now),
        limit=limit,
        empty="No dead letters.",
        as_json=as_json,
    )


@app.command()
@with_options(client=client_of)
def show(
    letter_id: Annotated[str, typer.Argument(metavar="ID", help="A dead letter's id, as `list` prints it.")],
    *,
    as_json: JsonOption = False,
    client: Client,
) -> None:
    """Show a dead letter with its body."""
    letter = client.dead_letter(letter_id)
    if as_json:
        print_record(letter)
        return
    values = {
        name: str(value)
        for name, value in plain(letter).items()
        if value is not None and name not in ("body", "attributes")
    }
    values |= {f"attribute {name}": value for name, value in sorted((letter.attributes or {}).items())}
    typer.echo(facts(values))
    typer.echo(f"\n{printable(_indented(letter.body or ''))}")


@app.command()
@with_options(client=client_of)
def replay(
    letter_ids: Annotated[list[str], typer.Argument(metavar="ID", help="Ids, as `list` prints them.")],
    *,
    as_json: JsonOption = False,
    client: Client,
) -> None:
    """Queue the tasks of dead letters again, with all their attempts.

    A refused dead letter does not stop the others.
    """

    def replay_one(letter_id: str) -> Task:
        task = client.replay_dead_letter(letter_id)
        if not as_json:
            typer.echo(f"{printable(letter_id)}: task {printable(task.id)} is {task.status}.")
        return task

    tasks, code = for_each(letter_ids, replay_one)
    if as_json:
        print_records(tasks)
    exit_with(code)


@app.command()
@with_options(client=client_of)
def purge(
    letter_ids: Annotated[list[str] | None, typer.Argument(metavar="ID", help="Delete only these.")] = None,
    *,
    older_than: Annotated[
        str | None, typer.Option(metavar="AGE", help="Delete all older dead letters, as in 30min, 12h or 7d.")
    ] = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
    client: Client,
) -> None:
    """Delete dead letters by id or by age. Their tasks are not changed."""
    if bool(letter_ids) == (older_than is not None):
        raise typer.BadParameter("give either ids or --older-than")
    before = None if older_than is None else datetime.now(timezone.utc) - _age(older_than)
    if not yes:
        letters = (
            counted(len(letter_ids), "dead letter")
            if letter_ids
            else f"all dead letters older than {older_than}"
        )
        typer.confirm(f"Delete {letters}?", abort=True, err=True)
    if before is not None:
        deleted = client.purge_dead_letters(before)
    else:
        for letter_id in letter_ids or ():
            client.delete_dead_letter(letter_id)
        deleted = len(letter_ids or ())
    if as_json:
        print_json({"deleted": deleted})
    else:
        typer.echo(f"Deleted {counted(deleted, 'dead letter')}.")


def _age(text: str) -> timedelta:
    found = _AGE.fullmatch(text)
    if found is None:
        raise typer.BadParameter(
            f"must be a number and s, min, h or d, like 7d (got {text!r})", param_hint="--older-than"
        )
    return timedelta(seconds=int(found[1]) * _SECONDS[found[2]])


def _row(letter: DeadLetter, now: datetime) -> tuple[str, ...]:
    reason = one_line(letter.reason, at_most=_REASON_CHARACTERS)
    replayed = "" if letter.replayed_at is None else f" (replayed {age(letter.replayed_at, now)})"
    return (
        printable(letter.id),
        age(letter.died_at, now),
        "–" if letter.delivery_count is None else str(letter.delivery_count),
        "unreadable" if letter.task_id is None else printable(letter.task_id),
        f"{reason}{replayed}",
    )


def _indented(body: str) -> str:
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return body
