"""darkroom shares: links that show one picture to any holder."""

from datetime import datetime, timezone
from functools import partial
from typing import Annotated

import typer

from darkroom.cli.options import JsonOption, TaskIdArgument, client_of, with_options
from darkroom.cli.output import age, delete_each, print_created, print_listing
from darkroom.errors import printable
from darkroom.models.share import Share
from darkroom.sync_client import Client

app = typer.Typer(help="Links that show one picture and its prompt to any holder.", no_args_is_help=True)


@app.command()
@with_options(client=client_of)
def create(
    task_id: TaskIdArgument,
    *,
    index: Annotated[int, typer.Option(help="Index of the image, from 0.")] = 0,
    hours: Annotated[int | None, typer.Option(help="Hours until the link ends. Default: a week.")] = None,
    as_json: JsonOption = False,
    client: Client,
) -> None:
    """Create a link and print its address. It is not shown again."""
    created = client.share(task_id, index, expires_in_hours=hours)
    note = f"The link works until {created.expires_at:%Y-%m-%d %H:%M} UTC."
    print_created(created, created.url, note=note, as_json=as_json)


@app.command("list")
@with_options(client=client_of)
def list_active(task_id: TaskIdArgument, *, as_json: JsonOption = False, client: Client) -> None:
    """List the links of a task that work, newest first."""
    heads, row = ("ID", "IMAGE", "CREATED", "EXPIRES (UTC)"), partial(_row, now=datetime.now(timezone.utc))
    print_listing(client.shares(task_id), heads, row, empty="No links.", as_json=as_json)


@app.command()
@with_options(client=client_of)
def revoke(
    task_id: TaskIdArgument,
    share_ids: Annotated[
        list[str], typer.Argument(metavar="SHARE", help="Ids of links, as `list` prints them.")
    ],
    *,
    as_json: JsonOption = False,
    client: Client,
) -> None:
    """Revoke links. They show nothing from then on."""
    revoke_one = partial(client.revoke_share, task_id)
    delete_each(share_ids, revoke_one, name="revoked", message="Link {} was revoked.", as_json=as_json)


def _row(share: Share, *, now: datetime) -> tuple[str, ...]:
    expires = f"{share.expires_at:%Y-%m-%d %H:%M}"
    return (printable(share.id), str(share.image_index), age(share.created_at, now), expires)
