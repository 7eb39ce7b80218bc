"""darkroom queue, usage, keys: the queue, the caller's usage and API keys."""

from datetime import datetime, timezone
from functools import partial
from typing import Annotated

import typer

from darkroom.cli.options import JsonOption, client_of, with_options
from darkroom.cli.output import age, delete_each, print_created, print_listing, print_record, table
from darkroom.errors import printable
from darkroom.models.account import ApiKey, Quota, Usage
from darkroom.models.queue import QueueTotals
from darkroom.sync_client import Client

keys = typer.Typer(help="API keys, which programs use instead of a token.", no_args_is_help=True)

_Day = Annotated[
    datetime | None, typer.Option(formats=["%Y-%m-%d"], metavar="DAY", help="Day in UTC, as in 2026-11-20.")
]


@with_options(client=client_of)
def queue(*, as_json: JsonOption = False, client: Client) -> None:
    """Show the length, backlog and throughput of the queue."""
    status = client.queue()
    if as_json:
        print_record(status)
        return
    rows = [
        *(_queue_row(printable(model.model), model) for model in status.models),
        _queue_row("all", status),
    ]
    typer.echo(
        table(("MODEL", "QUEUED", "OLDEST", "PROCESSING", "COMPLETED/MIN", "BACKLOG", "WORKERS"), rows)
    )
    if status.unserved_models:
        typer.echo(f"No live worker serves: {printable(', '.join(status.unserved_models))}")
    typer.echo(f"Dead letters: {status.dead_letters}")


@with_options(client=client_of)
def usage(*, first: _Day = None, last: _Day = None, as_json: JsonOption = False, client: Client) -> None:
    """Show the usage of your tasks per day, and of your quotas.

    By default of the last week.
    """
    report = client.usage(first=first and first.date(), last=last and last.date())
    if as_json:
        print_record(report)
        return
    days = [*((day.day.isoformat(), day) for day in report.days), ("total", report.total)]
    rows = [_usage_row(name, day, report.currency) for name, day in days]
    typer.echo(table(("DAY", "TASKS", "GPU SECONDS", "WASTED", "PRICE"), rows))
    if report.quotas:
        typer.echo()
        heads = ("QUOTA", "LIMIT", "USED", "REMAINING", "RESETS IN")
        typer.echo(table(heads, [_quota_row(quota) for quota in report.quotas]))


@keys.command("list")
@with_options(client=client_of)
def list_keys(*, as_json: JsonOption = False, client: Client) -> None:
    """List your API keys, newest first."""
    heads = ("ID", "CREATED", "LAST USED", "EXPIRES", "SCOPES", "NAME")
    row = partial(_key_row, now=datetime.now(timezone.utc))
    print_listing(client.keys(), heads, row, empty="No API keys.", as_json=as_json)


@keys.command()
@with_options(client=client_of)
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the key, for your own use.")],
    *,
    scope: Annotated[list[str], typer.Option(metavar="SCOPE", help="read, submit or admin. Repeatable.")],
    days: Annotated[
        int | None, typer.Option(help="Days until the key expires. Default: it does not expire.")
    ] = None,
    as_json: JsonOption = False,
    client: Client,
) -> None:
    """Create an API key and print it. It is not shown again."""
    created = client.create_key(name, scope, expires_in_days=days)
    note = "Store the key now: it is not shown again."
    print_created(created, created.key, note=note, as_json=as_json)


@keys.command()
@with_options(client=client_of)
def revoke(
    key_ids: Annotated[list[str], typer.Argument(metavar="ID", help="Key ids, as `list` prints them.")],
    *,
    as_json: JsonOption = False,
    client: Client,
) -> None:
    """Revoke API keys permanently."""
    delete_each(key_ids, client.revoke_key, name="revoked", message="Key {} was revoked.", as_json=as_json)


def _queue_row(name: str, totals: QueueTotals) -> tuple[str, ...]:
    oldest = "–" if totals.oldest_seconds is None else f"{totals.oldest_seconds:.0f} s"
    backlog = "–" if totals.backlog_gpu_seconds is None else f"{totals.backlog_gpu_seconds:.0f} s"
    workers = "–" if totals.workers is None else str(totals.workers)
    throughput = f"{totals.completed_per_minute:g}"
    return (name, str(totals.queued), oldest, str(totals.processing), throughput, backlog, workers)


def _usage_row(name: str, day: Usage, currency: str | None) -> tuple[str, ...]:
    price = "–" if day.price is None else f"{day.price:g} {printable(currency or '')}".strip()
    return (name, str(day.tasks), f"{day.gpu_seconds:g}", f"{day.wasted_gpu_seconds:g}", price)


def _quota_row(quota: Quota) -> tuple[str, ...]:
    resets = "–" if quota.resets_in_seconds is None else f"{quota.resets_in_seconds} s"
    used = f"{quota.used:.0f}"
    return (printable(quota.name), str(quota.limit), used, str(quota.remaining), resets)


def _key_row(key: ApiKey, *, now: datetime) -> tuple[str, ...]:
    used = "–" if key.last_used_at is None else age(key.last_used_at, now)
    expires = "–" if key.expires_at is None else key.expires_at.date().isoformat()
    scopes = printable(",".join(key.scopes))
    return (printable(key.id), age(key.created_at, now), used, expires, scopes, printable(key.name))
