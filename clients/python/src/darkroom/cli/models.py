"""darkroom models: list and show models."""

from typing import Annotated

import typer

from darkroom.cli.json_output import print_record, print_records
from darkroom.cli.option_bundles import taking
from darkroom.cli.options import JsonOption, client_of
from darkroom.models.model_spec import ModelSpec
from darkroom.plain_text import facts, printable, table
from darkroom.sync_client import Client


@taking(client=client_of)
def models(
    name: Annotated[str | None, typer.Argument(help="Only this one, with all its limits.")] = None,
    *,
    as_json: JsonOption = False,
    client: Client,
) -> None:
    """List the models on offer, or show one with its limits and defaults."""
    if name is not None:
        spec = client.model(name)
        print_record(spec) if as_json else typer.echo(facts(_known(spec)))
        return
    offered = client.models()
    if as_json:
        print_records(offered)
    else:
        typer.echo(table(("NAME", "TITLE", "WORKERS", "SAMPLERS"), [_row(spec) for spec in offered]))


def _row(spec: ModelSpec) -> tuple[str, ...]:
    workers = "–" if spec.workers is None else str(spec.workers)
    return (printable(spec.name), printable(spec.title), workers, ", ".join(spec.samplers))


def _known(spec: ModelSpec) -> dict[str, str]:
    known = {"name": spec.name, "title": spec.title, "description": spec.description, "family": spec.family}
    known |= {} if spec.workers is None else {"workers": str(spec.workers)}
    known |= {"samplers": ", ".join(spec.samplers), "output_formats": ", ".join(spec.output_formats)}
    if spec.max_prompt_tokens is not None:
        known["max_prompt_tokens"] = str(spec.max_prompt_tokens)
    known |= {f"limit {limit}": str(value) for limit, value in spec.limits.items()}
    known |= {f"default {field}": str(value) for field, value in spec.defaults.items() if value is not None}
    return known
