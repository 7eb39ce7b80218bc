"""darkroom dead-letters: list, show, replay and purge dead letters."""

import json
import re
from datetime import datetime, timedelta, timezone
from itertools import islice
from typing import Annotated

import typer

from darkroom.cli.each_of_many import each, exit_with
from darkroom.cli.json_output import plain, print_json, print_record, print_records
from darkroom.cli.option_bundles import taking
from darkroom.cli.options import JsonOption, LimitOption, YesOption, client_of
from darkroom.models.dead_letter import DeadLetter
from darkroom.models.task import Task
from darkroom.plain_text import age, facts, one_line, printable, table
from darkroom.sync_client import Client

app = typer.Typer(help="Messages that nobody could read or finish; for operators.", no_args_is_help=True)

_REASON_CHARACTERS = 80
_AGE = re.compile(r"(\d{1,5})(s|min|h|d)")
_SECONDS = {"s": 1, "min": 60, "h": 3_600, "d": 86_400}
IdsArgument = Annotated[list[str], typer.Argument(metavar="ID...", help="As `list` shows them.")]


@app.command("list")
@taking(client=client_of)
def list_letters(
    *,
    limit: LimitOption = 50,
    as_json: JsonOption = False,
    client: Client,
) -> None:
    """List dead letters, newest first."""
    letters = list(islice(client.dead_letters(), limit + 1))
    shown = letters[:limit]
    if as_json:
        print_records(shown)
        return
    if not shown:
        typer.echo("No dead letters.")
        return
    now = datetime.now(timezone.utc)
    heads = ("ID", "DIED", "DELIVERIES", "TASK", "REASON")
    typer.echo(table(heads, [_row(letter, now) for letter in shown]))
    if len(letters) > limit:
        typer.echo(f"There are more than {limit}: --limit shows them.", err=True)


@app.command()
@taking(client=client_of)
def show(
    letter_id: Annotated[str, typer.Argument(metavar="ID", help="As `list` shows it.")],
    *,
    as_json: JsonOption = False,
    client: Client,
) -> None:
    """Show all that is known of a dead letter, with its body."""
    letter = client.dead_letter(letter_id)
    if as_json:
        print_record(letter)
        return
    known = {name: str(value) for name, value in plain(letter).items() if value is not None}
    for laid_out_below in ("body", "attributes"):
        known.pop(laid_out_below, None)
    known |= {f"attribute {name}": value for name, value in sorted((letter.attributes or {}).items())}
    typer.echo(facts(known))
    typer.echo(f"\n{printable(_indented(letter.body or ''))}")


@app.command()
@taking(client=client_of)
def replay(
    letter_ids: IdsArgument,
    *,
    as_json: JsonOption = False,
    client: Client,
) -> None:
    """Give the tasks of dead letters another chance, with all their attempts.

    When some of them are refused, the others are replayed all the same.
    """

    def replayed(letter_id: str) -> Task:
        task = client.replay_dead_letter(letter_id)
        if not as_json:
            typer.echo(f"{printable(letter_id)}: task {printable(task.id)} is {task.status}.")
        return task

    tasks, code = each(letter_ids, replayed)
    if as_json:
        print_records(tasks)
    exit_with(code)


@app.command()
@taking(client=client_of)
def purge(
    letter_ids: Annotated[list[str] | None, typer.Argument(metavar="ID", help="These only.")] = None,
    *,
    older_than: Annotated[
        str | None, typer.Option(metavar="AGE", help="All that died so long ago: 30min, 12h, 7d.")
    ] = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
    client: Client,
) -> None:
    """Forget dead letters, by id or by age. Their tasks stay as they are."""
    if bool(letter_ids) == (older_than is not None):
        raise typer.BadParameter("say which: either ids or --older-than")
    moment = None if older_than is None else datetime.now(timezone.utc) - _age(older_than)
    which = f"{len(letter_ids)} dead letters" if letter_ids else f"all dead letters older than {older_than}"
    if not yes:
        typer.confirm(f"Forget {which}?", abort=True, err=True)
    if moment is not None:
        deleted = client.purge_dead_letters(moment)
    else:
        for letter_id in letter_ids or ():
            client.delete_dead_letter(letter_id)
        deleted = len(letter_ids or ())
    if as_json:
        print_json({"deleted": deleted})
    else:
        typer.echo(f"Forgot {deleted}.")


def _age(text: str) -> timedelta:
    found = _AGE.fullmatch(text)
    if found is None:
        raise typer.BadParameter("an age is a number and s, min, h or d, like 7d", param_hint="--older-than")
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
    except ValueError:
        return body
