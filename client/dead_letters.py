"""darkroom dead-letters: what was given up on, shown, given another chance, or forgotten."""

import json
import re
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Annotated, Any

import typer

from client.api import DarkroomApi
from client.errors import ClientError
from client.options import DEFAULT_URL, JsonOption, TokenOption, UrlOption
from client.plain_text import age, one_line, printable, table

app = typer.Typer(help="Messages that nobody could read or finish; for operators.", no_args_is_help=True)

_REASON_CHARACTERS = 80
_AGE = re.compile(r"(\d{1,5})(s|min|h|d)")
_SECONDS = {"s": 1, "min": 60, "h": 3_600, "d": 86_400}
IdsArgument = Annotated[list[str], typer.Argument(metavar="ID...", help="As `list` shows them.")]


@app.command("list")
def list_letters(
    *,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many at most.")] = 50,
    url: UrlOption = DEFAULT_URL,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """List dead letters, newest first."""
    with DarkroomApi(url, token=token) as api:
        letters = list(islice(api.dead_letters(), limit + 1))
    shown = letters[:limit]
    if as_json:
        _print_json(shown)
        return
    if not shown:
        typer.echo("No dead letters.")
        return
    now = datetime.now(UTC)
    heads = ("ID", "DIED", "DELIVERIES", "TASK", "REASON")
    typer.echo(table(heads, [_row(letter, now) for letter in shown]))
    if len(letters) > limit:
        typer.echo(f"There are more than {limit}: --limit shows them.", err=True)


@app.command()
def show(
    letter_id: Annotated[str, typer.Argument(metavar="ID", help="As `list` shows it.")],
    *,
    url: UrlOption = DEFAULT_URL,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show all that is known of a dead letter, with its body."""
    with DarkroomApi(url, token=token) as api:
        letter = api.dead_letter(letter_id)
    if as_json:
        _print_json(letter)
        return
    body = letter.pop("body")
    attributes = letter.pop("attributes")
    facts = {name: str(value) for name, value in letter.items() if value is not None}
    facts |= {f"attribute {printable(name)}": value for name, value in sorted(attributes.items())}
    width = max(len(name) for name in facts)
    for name, value in facts.items():
        typer.echo(f"{name:<{width}}  {printable(value)}")
    typer.echo(f"\n{printable(_indented(body))}")


@app.command()
def replay(
    letter_ids: IdsArgument,
    *,
    url: UrlOption = DEFAULT_URL,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give the tasks of dead letters another chance, with all their attempts.

    Exits with 1 when one of them was refused; the others are replayed all the same.
    """
    tasks, refused = [], False
    with DarkroomApi(url, token=token) as api:
        for letter_id in letter_ids:
            try:
                task = api.replay_dead_letter(letter_id)
            except ClientError as error:
                typer.echo(f"{printable(letter_id)}: {error}", err=True)
                refused = True
                continue
            tasks.append(task)
            if not as_json:
                typer.echo(f"{printable(letter_id)}: task {task['id']} is {task['status']}.")
    if as_json:
        _print_json(tasks)
    if refused:
        raise typer.Exit(1)


@app.command()
def purge(
    letter_ids: Annotated[list[str] | None, typer.Argument(metavar="ID", help="These only.")] = None,
    *,
    older_than: Annotated[
        str | None, typer.Option(metavar="AGE", help="All that died so long ago: 30min, 12h, 7d.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    url: UrlOption = DEFAULT_URL,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Forget dead letters, by id or by age. Their tasks stay as they are."""
    if bool(letter_ids) == (older_than is not None):
        raise typer.BadParameter("say which: either ids or --older-than")
    moment = None if older_than is None else datetime.now(UTC) - _age(older_than)
    which = f"{len(letter_ids)} dead letters" if letter_ids else f"all dead letters older than {older_than}"
    if not yes:
        typer.confirm(f"Forget {which}?", abort=True, err=True)
    with DarkroomApi(url, token=token) as api:
        if moment is not None:
            deleted = api.purge_dead_letters(moment.isoformat())
        else:
            for letter_id in letter_ids or ():
                api.delete_dead_letter(letter_id)
            deleted = len(letter_ids or ())
    if as_json:
        _print_json({"deleted": deleted})
    else:
        typer.echo(f"Forgot {deleted}.")


def _age(text: str) -> timedelta:
    found = _AGE.fullmatch(text)
    if found is None:
        raise typer.BadParameter("an age is a number and s, min, h or d, like 7d", param_hint="--older-than")
    return timedelta(seconds=int(found[1]) * _SECONDS[found[2]])


def _row(letter: dict[str, Any], now: datetime) -> tuple[str, ...]:
    reason = one_line(letter["reason"], at_most=_REASON_CHARACTERS)
    replayed = "" if letter["replayed_at"] is None else f" (replayed {age(letter['replayed_at'], now)})"
    return (
        printable(letter["id"]),
        age(letter["died_at"], now),
        "–" if letter["delivery_count"] is None else str(letter["delivery_count"]),
        "unreadable" if letter["task_id"] is None else printable(letter["task_id"]),
        f"{reason}{replayed}",
    )


def _indented(body: str) -> str:
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except ValueError:
        return body


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2))
