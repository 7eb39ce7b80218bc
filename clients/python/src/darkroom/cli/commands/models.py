"""darkroom models, estimate: the models, and the cost of a task before it is submitted."""

from typing import Annotated

import typer

from darkroom.cli.options import JsonOption, PromptArgument, client_of, submission_fields, with_options
from darkroom.cli.output import facts, print_record, print_records, table, warning_facts
from darkroom.errors import printable
from darkroom.models.catalog import ModelSpec
from darkroom.models.estimate import Estimate
from darkroom.submission import SubmissionFields
from darkroom.sync_client import Client

_COLUMNS = ("NAME", "TITLE", "FAMILY", "WORKERS", "STEPS", "GUIDANCE", "SAMPLERS")


@with_options(client=client_of)
def models(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Show only this model, with its limits.")
    ] = None,
    *,
    as_json: JsonOption = False,
    client: Client,
) -> None:
    """List the models, or show one with its limits and defaults."""
    if name is not None:
        spec = client.model(name)
        print_record(spec) if as_json else typer.echo(facts(_model_facts(spec)))
        return
    specs = client.models()
    if as_json:
        print_records(specs)
    else:
        typer.echo(table(_COLUMNS, [_row(spec) for spec in specs]))


@with_options(fields=submission_fields, client=client_of)
def estimate(
    prompt: PromptArgument, *, as_json: JsonOption = False, fields: SubmissionFields, client: Client
) -> None:
    """Estimate the GPU time, wait and price of a task.

    Submits nothing.
    """
    result = client.estimate(prompt, **fields)
    print_record(result) if as_json else typer.echo(facts(_estimate_facts(result)))


def _row(spec: ModelSpec) -> tuple[str, ...]:
    workers = "–" if spec.workers is None else str(spec.workers)
    guidance = str(spec.traits.get("guidance", "–"))
    columns = (spec.name, spec.title, spec.family, workers, _steps(spec), guidance, ", ".join(spec.samplers))
    return tuple(map(printable, columns))


def _steps(spec: ModelSpec) -> str:
    if spec.shares_steps is None:
        return "–"
    return "shared" if spec.shares_steps else "one task at a time"


def _model_facts(spec: ModelSpec) -> dict[str, str]:
    values = {"name": spec.name, "title": spec.title, "description": spec.description, "family": spec.family}
    if spec.workers is not None:
        values["workers"] = str(spec.workers)
    if spec.shares_steps is not None:
        values["steps"] = _steps(spec)
    values |= {"samplers": ", ".join(spec.samplers), "output_formats": ", ".join(spec.output_formats)}
    values |= {trait: _plain(value) for trait, value in spec.traits.items()}
    values |= {
        name: ", ".join(kinds)
        for name, kinds in (("inputs", spec.inputs), ("adapters", spec.adapters))
        if kinds
    }
    values |= {
        field: ", ".join(each["name"] for each in weights)
        for field, weights in (("controlnets", spec.controlnets), ("ip_adapters", spec.ip_adapters))
        if weights
    }
    if spec.max_prompt_tokens is not None:
        values["max_prompt_tokens"] = str(spec.max_prompt_tokens)
    values |= {f"limit {limit}": str(value) for limit, value in spec.limits.items()}
    values |= {f"default {field}": str(value) for field, value in spec.defaults.items() if value is not None}
    return values


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _estimate_facts(result: Estimate) -> dict[str, str]:
    values = {"model": result.model, "tasks ahead": str(result.queue_position)}
    if not result.feasible:
        values["not feasible"] = result.reason or "no live worker serves the model"
    if result.gpu_seconds is not None:
        values["GPU time"] = f"{result.gpu_seconds:g} s"
    if (eta := result.eta) is not None and eta.p50_seconds is not None and eta.p90_seconds is not None:
        values["finished in"] = f"{eta.p50_seconds:.0f} s (median), {eta.p90_seconds:.0f} s (90th percentile)"
    if result.price is not None:
        values["price"] = f"{result.price:g} {result.currency or ''}".rstrip()
    return values | warning_facts(result.warnings)
