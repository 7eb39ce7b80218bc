"""darkroom verify: check whether an image can be reproduced bit for bit."""

import itertools
from pathlib import Path
from typing import Annotated, Any

import typer

from darkroom.cli.exit_codes import ExitCode
from darkroom.cli.json_output import print_record
from darkroom.cli.live_view import LiveView
from darkroom.cli.option_bundles import taking
from darkroom.cli.options import CancelOption, JsonOption, TimeoutOption, client_of
from darkroom.cli.waiting import follow, interruptible, raise_unless_completed
from darkroom.image_record import RecordedImage
from darkroom.plain_text import one_line, printable
from darkroom.sync_client import Client
from darkroom.verification import Difference, RecordDifference, Verification, compared, submission_of

_VALUE_CHARACTERS = 60


@taking(client=client_of)
def verify(
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="A file that darkroom has drawn.")],
    *,
    against: Annotated[
        Path | None,
        typer.Option(metavar="IMAGE", help="Compare with this file, and have nothing drawn. Asks no server."),
    ] = None,
    timeout: TimeoutOption = None,
    cancel_on_interrupt: CancelOption = False,
    as_json: JsonOption = False,
    client: Client,
) -> None:
    """Draw an image again from the record in its file, and tell whether it is the same."""
    original = RecordedImage.read_unedited(image)
    if against is not None:
        again = RecordedImage.read_unedited(against)
    else:
        again = _drawn_again(client, original, timeout, cancels=cancel_on_interrupt)
    verification = compared(original, again)
    if as_json:
        print_record(verification)
    else:
        typer.echo("\n".join(_told(original, verification)))
    if not verification.bit_equal:
        raise typer.Exit(ExitCode.DIFFERENT)


def _drawn_again(
    client: Client, original: RecordedImage, timeout_seconds: float | None, *, cancels: bool
) -> RecordedImage:
    prompt, fields = submission_of(original.record)
    task = client.submit(prompt, **fields)
    with interruptible(client, task.id, cancels=cancels):
        with LiveView(preview=False) as view:
            ended = follow(client, task.id, view.show, timeout_seconds)
        raise_unless_completed(ended)
        return RecordedImage.read(client.images(ended)[0].content)


def _told(original: RecordedImage, verification: Verification) -> list[str]:
    name, reasons = printable(original.name), [_line(reason) for reason in verification.record_differences]
    if verification.bit_equal:
        return [
            f"{name} is bit-equal to the same image drawn again{', although' if reasons else '.'}",
            *reasons,
        ]
    if reasons:
        why = "Why it may differ (then → now):"
    else:
        why = "The records do not say why: they tell of the same circumstances."
    return [f"{name} is not what was drawn again: {_apart(verification.difference)}", why, *reasons]


def _apart(found: Difference) -> str:
    if found.psnr_db is None:
        return "only compression hides what differs."
    red, green, blue = found.largest
    return (
        f"{found.share_of_pixels * 100:.3g} % of the pixels differ, by at most {red}, {green}, {blue} of 255 "
        f"(red, green, blue); PSNR {found.psnr_db:.1f} dB."
    )


def _line(difference: RecordDifference) -> str:
    then, now = (_brief(value) for value in (difference.file, difference.again))
    return f"  {printable(difference.field)}  {then} → {now}"


def _brief(value: Any) -> str:
    if isinstance(value, list):
        runs = ((key, len(list(group))) for key, group in itertools.groupby(value))
        value = ", ".join(f"{key}" if count == 1 else f"{key} ×{count}" for key, count in runs) or "none"
    return "–" if value is None else one_line(str(value), at_most=_VALUE_CHARACTERS)
