"""The models of each worker of the stack, and the subscription that it pulls from. Pure rules.

A pool is one subscription and the workers that pull from it, as in the cloud: each message carries
its model's pool, and the subscription filters by it. A model belongs to exactly one pool.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from local_stack.errors import WorkerModelsError

_MAX_FILTER_BYTES = 256
"""Pub/Sub's limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerPool:
    """Models and the number of their workers; without workers, their messages wait."""

    models: tuple[str, ...]
    workers: int

    @property
    def name(self) -> str:
        """A name that is unique in the stack: no model's name contains a plus sign."""
        first, *others = self.models
        return f"{first}+{len(others)}" if others else first

    def subscription_filter(self, pools: Sequence["WorkerPool"]) -> str:
        """Return the filter of the pool's subscription, which is one of the stack's `pools`.

        The first pool also receives the messages with unknown pools and without a pool, so that a
        worker moves them to the dead letters. Pub/Sub silently drops messages that no filter
        matches.
        """
        own = f'attributes.pool = "{self.name}"'
        if self != pools[0]:
            return own
        others = " OR ".join(f'attributes.pool = "{pool.name}"' for pool in pools[1:])
        every_other = f"NOT ({others})" if others else ""
        return every_other if len(every_other.encode()) <= _MAX_FILTER_BYTES else own


def plan_pools(
    catalog: Sequence[str], *, workers: int | None, shares: str | None, models: Sequence[str] = ()
) -> tuple[WorkerPool, ...]:
    """Return the pools of a stack, those with workers first. Raises WorkerModelsError.

    `shares` is WORKER_MODELS: one part per worker, separated by semicolons, with its models
    separated by commas. Without it, `workers` (1) workers serve all of `models` (DARKROOM_MODELS),
    by default the whole `catalog`.
    """
    if shares is None:
        _check_known(models, catalog, variable="DARKROOM_MODELS")
        served = [
            WorkerPool(
                models=tuple(dict.fromkeys(models or catalog)), workers=1 if workers is None else workers
            )
        ]
    else:
        if models:
            raise WorkerModelsError("WORKER_MODELS and DARKROOM_MODELS are both set; set one of them.")
        served = _pools_of(_shares_in(shares, catalog), workers)
    covered = {model for pool in served for model in pool.models}
    unserved = [WorkerPool(models=(model,), workers=0) for model in catalog if model not in covered]
    return (*served, *unserved)


def _shares_in(text: str, catalog: Sequence[str]) -> list[tuple[str, ...]]:
    shares = [tuple(name.strip() for name in share.split(",") if name.strip()) for share in text.split(";")]
    for number, share in enumerate(shares, start=1):
        if not share:
            raise WorkerModelsError(
                f"Share {number} of WORKER_MODELS names no model. Separate shares with a semicolon and the models of "
                "a share with commas, as in tiny-a,tiny-b;tiny-xl."
            )
        _check_known(share, catalog, variable="WORKER_MODELS")
        if repeated := next((model for model in share if share.count(model) > 1), None):
            raise WorkerModelsError(f"WORKER_MODELS names the model {repeated!r} twice in one share.")
    return shares


def _pools_of(shares: Sequence[tuple[str, ...]], workers: int | None) -> list[WorkerPool]:
    if workers is not None and workers != len(shares):
        raise WorkerModelsError(
            f"WORKER_MODELS has {len(shares)} shares, one for each worker, but WORKERS is {workers}. Leave "
            "WORKERS out, or make the two agree."
        )
    pools: dict[frozenset[str], WorkerPool] = {}
    for share in shares:
        same = pools.get(frozenset(share))
        pools[frozenset(share)] = (
            WorkerPool(models=share, workers=1)
            if same is None
            else WorkerPool(models=same.models, workers=same.workers + 1)
        )
    members = [model for pool in pools for model in pool]
    if shared := next((model for model in sorted(members) if members.count(model) > 1), None):
        raise WorkerModelsError(
            f"WORKER_MODELS has the model {shared!r} in two different shares: each of its tasks would be delivered to "
            "both. Name it in one share; repeat that whole share to give it several workers."
        )
    return list(pools.values())


def _check_known(models: Sequence[str], catalog: Sequence[str], *, variable: str) -> None:
    if unknown := next((model for model in models if model not in catalog), None):
        raise WorkerModelsError(
            f"{variable} names the model {unknown!r}, which is not in the model catalog: {', '.join(catalog)}."
        )
