"""darkroom queue, usage, keys: the state of the queue, the usage, and API keys."""

from datetime import date, datetime, timezone
from typing import Annotated

import typer

from darkroom.cli.each_of_many import each, exit_with
from darkroom.cli.json_output import print_json, print_record, print_records
from darkroom.cli.option_bundles import taking
from darkroom.cli.options import JsonOption, client_of
from darkroom.models.api_key import ApiKey
from darkroom.models.queue_standing import QueueLine
from darkroom.models.usage import Usage
from darkroom.plain_text import age, printable, table
from darkroom.sync_client import Client

keys = typer.Typer(help="Your API keys: programs show them in place of a token.", no_args_is_help=True)

_Day = Annotated[
    datetime | None, typer.Option(formats=["%Y-%m-%d"], metavar="DAY", help="As in 2026-11-20; timezone.utc.")
]


@taking(client=client_of)
def queue(*, as_json: JsonOption = False, client: Client) -> None:
    """Show how long the queue is, how much work, and how fast it moves: everybody's tasks."""
    standing = client.queue()
    if as_json:
        print_record(standing)
        return
    lines = [(printable(line.model), line) for line in standing.models]
    rows = [_queue_row(name, line) for name, line in [*lines, ("all", standing)]]
    typer.echo(
        table(("MODEL", "QUEUED", "OLDEST", "PROCESSING", "COMPLETED/MIN", "BACKLOG", "WORKERS"), rows)
    )
    if standing.unserved_models:
        typer.echo(f"No live worker serves: {printable(', '.join(standing.unserved_models))}")
    typer.echo(f"Dead letters: {standing.dead_letters}")


@taking(client=client_of)
def usage(*, first: _Day = None, last: _Day = None, as_json: JsonOption = False, client: Client) -> None:
    """Show what your tasks have cost, day by day; the last week unless days are named."""
    report = client.usage(first=_day(first), last=_day(last))
    if as_json:
        print_record(report)
        return
    days = [(day.day.isoformat(), day) for day in report.days]
    rows = [_usage_row(name, cost, report.currency) for name, cost in [*days, ("total", report.total)]]
    typer.echo(table(("DAY", "TASKS", "GPU SECONDS", "WASTED", "PRICE"), rows))


@keys.command("list")
@taking(client=client_of)
def list_keys(*, as_json: JsonOption = False, client: Client) -> None:
    """List your API keys, newest first."""
    found = client.keys()
    if as_json:
        print_records(found)
    elif not found:
        typer.echo("No API keys.")
    else:
        now = datetime.now(timezone.utc)
        heads = ("ID", "CREATED", "LAST USED", "EXPIRES", "SCOPES", "NAME")
        typer.echo(table(heads, [_key_row(key, now) for key in found]))


@keys.command()
@taking(client=client_of)
def create(
    name: Annotated[str, typer.Argument(help="Your own note on what the key is for.")],
    *,
    scope: Annotated[list[str], typer.Option(help="read, submit or admin; any number of them.")],
    days: Annotated[
        int | None, typer.Option(help="How long it is good; without it until it is revoked.")
    ] = None,
    as_json: JsonOption = False,
    client: Client,
) -> None:
    """Create an API key and print it, this once."""
    created = client.create_key(name, scope, expires_in_days=days)
    if as_json:
        print_record(created)
        return
    typer.echo(printable(created.key))
    typer.echo("Keep it: it is not shown again.", err=True)


@keys.command()
@taking(client=client_of)
def revoke(
    key_ids: Annotated[list[str], typer.Argument(metavar="ID...", help="As `list` shows them.")],
    *,
    as_json: JsonOption = False,
    client: Client,
) -> None:
    """Revoke API keys for good."""

    def revoked(key_id: str) -> str:
        client.revoke_key(key_id)
        return key_id

    gone, code = each(key_ids, revoked)
    if as_json:
        print_json({"revoked": gone})
    else:
        for key_id in gone:
            typer.echo(f"Key {printable(key_id)} is revoked.")
    exit_with(code)


def _day(moment: datetime | None) -> date | None:
    return None if moment is None else moment.date()


def _queue_row(name: str, line: QueueLine) -> tuple[str, ...]:
    oldest = "–" if line.oldest_seconds is None else f"{line.oldest_seconds:.0f} s"
    backlog = "–" if line.backlog_gpu_seconds is None else f"{line.backlog_gpu_seconds:.0f} s"
    workers = "–" if line.workers is None else str(line.workers)
    pace = f"{line.completed_per_minute:g}"
    return (name, str(line.queued), oldest, str(line.processing), pace, backlog, workers)


def _usage_row(name: str, cost: Usage, currency: str | None) -> tuple[str, ...]:
    price = "–" if cost.price is None else f"{cost.price:g} {printable(currency or '')}".strip()
    return (name, str(cost.tasks), f"{cost.gpu_seconds:g}", f"{cost.wasted_gpu_seconds:g}", price)


def _key_row(key: ApiKey, now: datetime) -> tuple[str, ...]:
    used = "–" if key.last_used_at is None else age(key.last_used_at, now)
    expires = "–" if key.expires_at is None else key.expires_at.date().isoformat()
    scopes = printable(",".join(key.scopes))
    return (printable(key.id), age(key.created_at, now), used, expires, scopes, printable(key.name))
