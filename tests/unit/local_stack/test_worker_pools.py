"""Which models each worker of the local stack serves, and which messages it gets."""

from typing import Any

import pytest

from local_stack.errors import WorkerModelsError
from local_stack.pubsub_proxy.subscription_filter import parse_filter
from local_stack.worker_pools import WorkerPool, plan_pools

CATALOG = ("tiny-a", "tiny-b", "tiny-xl")


def planned(catalog: tuple[str, ...] = CATALOG, **wishes: Any) -> tuple[WorkerPool, ...]:
    return plan_pools(catalog, **{"workers": None, "shares": None, **wishes})


@pytest.mark.parametrize(
    ("wishes", "pools"),
    [
        ({}, [("tiny-a,tiny-b,tiny-xl", 1)]),
        ({"workers": 3}, [("tiny-a,tiny-b,tiny-xl", 3)]),
        ({"workers": 0}, [("tiny-a,tiny-b,tiny-xl", 0)]),
        ({"shares": "tiny-a, tiny-b ; tiny-xl"}, [("tiny-a,tiny-b", 1), ("tiny-xl", 1)]),
        ({"shares": "tiny-a;tiny-b,tiny-xl;tiny-a"}, [("tiny-a", 2), ("tiny-b,tiny-xl", 1)]),
        ({"shares": "tiny-xl"}, [("tiny-xl", 1), ("tiny-a", 0), ("tiny-b", 0)]),
        ({"workers": 2, "models": ("tiny-b",)}, [("tiny-b", 2), ("tiny-a", 0), ("tiny-xl", 0)]),
    ],
)
def test_plan_pools_assigns_models_to_workers(wishes: dict[str, Any], pools: list[tuple[str, int]]) -> None:
    assert [(",".join(pool.models), pool.workers) for pool in planned(**wishes)] == pools


@pytest.mark.parametrize(
    ("wishes", "complaint"),
    [
        ({"shares": "tiny-a;huge"}, "WORKER_MODELS names the model 'huge', .*: tiny-a, tiny-b, tiny-xl"),
        ({"models": ("huge",)}, "DARKROOM_MODELS names the model 'huge'"),
        ({"shares": "tiny-a,tiny-b;tiny-b"}, "'tiny-b' in two different shares"),
        ({"shares": "tiny-a;;tiny-b"}, "Share 2 of WORKER_MODELS names no model"),
        ({"shares": "tiny-a,tiny-a"}, "'tiny-a' twice in one share"),
        ({"shares": "tiny-a;tiny-b", "workers": 3}, "WORKER_MODELS has 2 shares, .* WORKERS is 3"),
        ({"shares": "tiny-a", "models": ("tiny-a",)}, "both set; set one of them"),
    ],
)
def test_plan_pools_rejects_invalid_shares(wishes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(WorkerModelsError, match=complaint):
        planned(**wishes)


def test_pool_names_are_unique() -> None:
    names = [pool.name for pool in planned(shares="tiny-a,tiny-b;tiny-xl")]
    assert names == ["tiny-a+1", "tiny-xl"]


@pytest.mark.parametrize("shares", [None, "tiny-a;tiny-b;tiny-xl", "tiny-b,tiny-xl;tiny-a", "tiny-xl"])
def test_filters_deliver_each_message_to_one_pool(shares: str | None) -> None:
    """Including messages with unknown or missing models, which a worker dead-letters."""
    pools = planned(shares=shares)
    filters = [parse_filter(pool.subscription_filter(pools)) for pool in pools]
    own_pool = {model: pool.name for pool in pools for model in pool.models}
    for attributes in ({"pool": "huge"}, {}, *({"pool": name} for name in own_pool.values())):
        takers = [pool for pool, takes in zip(pools, filters, strict=True) if takes(attributes)]
        assert len(takers) == 1
        assert attributes.get("pool") in {takers[0].name, "huge", None}
    assert sorted(own_pool) == sorted(CATALOG)


def test_filters_fit_the_limit_with_many_models() -> None:
    many = tuple(f"a-model-with-quite-a-long-name-{number}" for number in range(40))
    assert planned(many)[0].subscription_filter(planned(many)) == ""
    for shares in (";".join(many), f"{','.join(many[:20])};{','.join(many[20:])}"):
        pools = planned(many, shares=shares)
        for pool in pools:
            assert parse_filter(pool.subscription_filter(pools))({"pool": pool.name})
