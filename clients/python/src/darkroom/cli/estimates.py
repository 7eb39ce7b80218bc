"""darkroom estimate: GPU time, wait and price of a task before it is submitted."""

import typer

from darkroom.cli.json_output import print_record
from darkroom.cli.option_bundles import taking
from darkroom.cli.options import JsonOption, PromptArgument, client_of, submission_fields
from darkroom.cli.warning_lines import warning_facts
from darkroom.models.estimate import Estimate
from darkroom.plain_text import facts
from darkroom.submission import SubmissionFields
from darkroom.sync_client import Client


@taking(fields=submission_fields, client=client_of)
def estimate(
    prompt: PromptArgument, *, as_json: JsonOption = False, fields: SubmissionFields, client: Client
) -> None:
    """Show what a task would take, wait and cost; nothing is submitted."""
    foretold = client.estimate(prompt, **fields)
    print_record(foretold) if as_json else typer.echo(facts(_known(foretold)))


def _known(foretold: Estimate) -> dict[str, str]:
    known = {"model": foretold.model, "waiting before it": str(foretold.queue_position)}
    if not foretold.feasible:
        known["not feasible"] = foretold.reason or "nobody could draw it"
    if foretold.gpu_seconds is not None:
        known["drawing"] = f"{foretold.gpu_seconds:g} s of a GPU"
    if (eta := foretold.eta) is not None and eta.p50_seconds is not None and eta.p90_seconds is not None:
        known["done in"] = (
            f"about {eta.p50_seconds:.0f} s, at most {eta.p90_seconds:.0f} s in nine of ten cases"
        )
    if foretold.price is not None:
        known["price"] = f"{foretold.price:g} {foretold.currency or ''}".rstrip()
    known |= warning_facts(foretold.warnings)
    return known
