"""darkroom verify: check whether an image can be reproduced bit for bit."""

import itertools
from pathlib import Path
from typing import Annotated, Any

import typer

from darkroom.cli.exit_codes import ExitCode
from darkroom.cli.live_view import LiveView
from darkroom.cli.options import (
    CancelOption,
    JsonOption,
    KeyOption,
    TimeoutOption,
    client_of,
    with_options,
)
from darkroom.cli.output import one_line, print_record
from darkroom.cli.waiting import check_result, follow, interruptible, recoverable
from darkroom.errors import printable
from darkroom.image_files import RecordedImage
from darkroom.sync_client import Client
from darkroom.verification import (
    Difference,
    RecordDifference,
    Verification,
    compare,
    image_again,
    submission_of,
)

_VALUE_CHARACTERS = 60


@with_options(client=client_of)
def verify(
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="An image file that darkroom generated.")],
    *,
    against: Annotated[
        Path | None,
        typer.Option(metavar="IMAGE", help="Compare with this file and generate nothing. Calls no server."),
    ] = None,
    timeout: TimeoutOption = None,
    cancel_on_interrupt: CancelOption = False,
    idempotency_key: KeyOption = None,
    as_json: JsonOption = False,
    client: Client,
) -> None:
    """Generate an image again and compare the two.

    The task has the parameters of the record in the file.
    """
    original = RecordedImage.read_unedited(image)
    if against is not None:
        again = RecordedImage.read_unedited(against)
    else:
        again = _generate_again(client, original, timeout, idempotency_key, cancels=cancel_on_interrupt)
    verification = compare(original, again)
    if as_json:
        print_record(verification)
    else:
        typer.echo("\n".join(_report(original, verification)))
    if not verification.bit_equal:
        raise typer.Exit(ExitCode.DIFFERENT)


def _generate_again(
    client: Client,
    original: RecordedImage,
    timeout_seconds: float | None,
    key: str | None,
    *,
    cancels: bool,
) -> RecordedImage:
    prompt, fields = submission_of(original.record)
    with recoverable(key) as used_key:
        task = client.submit(prompt, idempotency_key=used_key, **fields)
    with interruptible(client, task.id, cancels=cancels):
        with LiveView(preview=False) as view:
            finished = follow(client, task.id, view.show, timeout_seconds)
        check_result(finished)
        return image_again(client.images(finished))


def _report(original: RecordedImage, verification: Verification) -> list[str]:
    name = printable(original.name)
    differences = [_record_difference(difference) for difference in verification.record_differences]
    if verification.bit_equal:
        if not differences:
            return [f"{name} and the image generated again are bit-identical."]
        return [f"{name} and the image generated again are bit-identical, although:", *differences]
    causes = "Possible causes (original → again):" if differences else "The records show no cause."
    return [
        f"{name} and the image generated again differ: {_difference(verification.difference)}",
        causes,
        *differences,
    ]


def _difference(difference: Difference) -> str:
    if difference.psnr_db is None:
        return "only before compression."
    red, green, blue = difference.largest
    return (
        f"in {difference.share_of_pixels * 100:.3g} % of the pixels, by at most {red}, {green}, {blue} of 255 "
        f"(red, green, blue); PSNR {difference.psnr_db:.1f} dB."
    )


def _record_difference(difference: RecordDifference) -> str:
    original, again = (_value(value) for value in (difference.file, difference.again))
    return f"  {printable(difference.field)}  {original} → {again}"


def _value(value: Any) -> str:
    if isinstance(value, list):
        runs = ((key, len(list(group))) for key, group in itertools.groupby(value))
        value = ", ".join(f"{key}" if count == 1 else f"{key} ×{count}" for key, count in runs) or "none"
    return "–" if value is None else one_line(str(value), at_most=_VALUE_CHARACTERS)
