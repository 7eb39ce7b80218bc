"""darkroom webhooks: secrets, deliveries and replays."""

from datetime import datetime, timezone
from typing import Annotated

import typer

from darkroom.cli.options import JsonOption, TaskIdArgument, YesOption, client_of, with_options
from darkroom.cli.output import age, print_record, print_records, table
from darkroom.errors import printable
from darkroom.models.webhook import WebhookDelivery, WebhookSecret
from darkroom.sync_client import Client

app = typer.Typer(help="Webhooks: the secrets that sign them, and their deliveries.", no_args_is_help=True)


@app.command()
@with_options(client=client_of)
def secrets(*, as_json: JsonOption = False, client: Client) -> None:
    """Print the valid secrets, newest first."""
    _print_secrets(client.webhook_secrets(), as_json=as_json)


@app.command()
@with_options(client=client_of)
def rotate(*, yes: YesOption = False, as_json: JsonOption = False, client: Client) -> None:
    """Create a new secret. The one before stays valid for some time, older ones do not."""
    if not yes:
        typer.confirm("Create a new webhook secret?", abort=True, err=True)
    _print_secrets(client.rotate_webhook_secret(), as_json=as_json)


@app.command()
@with_options(client=client_of)
def deliveries(task_id: TaskIdArgument, *, as_json: JsonOption = False, client: Client) -> None:
    """List the deliveries of a task's events, oldest first."""
    found = client.webhook_deliveries(task_id)
    if as_json:
        print_record(found)
        return
    if not found.deliveries:
        typer.echo("No deliveries.")
    else:
        now = datetime.now(timezone.utc)
        heads = ("NUMBER", "EVENT", "TIME", "STATE", "TRIES", "LAST RESPONSE")
        typer.echo(table(heads, [_row(delivery, now) for delivery in found.deliveries]))
    if found.stopped_at is not None:
        typer.echo("The receiver returned 410, which stopped the deliveries.", err=True)


@app.command()
@with_options(client=client_of)
def replay(
    task_id: TaskIdArgument,
    number: Annotated[int, typer.Argument(metavar="NUMBER", help="A number, as `deliveries` prints it.")],
    *,
    as_json: JsonOption = False,
    client: Client,
) -> None:
    """Send an event again, with the same id."""
    delivery = client.replay_webhook_delivery(task_id, number)
    if as_json:
        print_record(delivery)
    else:
        typer.echo(f"Delivery {delivery.number} of task {printable(task_id)} will be sent again.")


def _print_secrets(found: tuple[WebhookSecret, ...], *, as_json: bool) -> None:
    if as_json:
        print_records(found)
        return
    for secret in found:
        expiry = "" if secret.expires_at is None else f"\tvalid until {secret.expires_at.isoformat()}"
        typer.echo(f"{printable(secret.secret)}{expiry}")


def _row(delivery: WebhookDelivery, now: datetime) -> tuple[str, ...]:
    last = delivery.tries[-1] if delivery.tries else None
    response = "–" if last is None else str(last.status or last.error or "–")
    return (
        str(delivery.number),
        printable(delivery.type),
        age(delivery.timestamp, now),
        printable(delivery.state),
        str(delivery.tries_made),
        printable(response),
    )
