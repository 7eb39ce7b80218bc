"""The ScaledObjects have the numbers that the simulation ran with, and ask for a figure that the API gives."""

from urllib.parse import parse_qs, urlsplit

import pytest

from benchmarks.autoscaling.autoscalers import DEMAND, MESSAGES, OURS
from benchmarks.autoscaling.hpa import RatePolicy, ScalingRules, Unit
from frontend_api.routes.autoscaling import AutoscalingAnswer, AutoscalingQuery
from frontend_api.routes.autoscaling import blueprint as autoscaling
from tests.deployment.kustomizations import POOLS, Manifest, pool

TARGETS = {trigger.signal: trigger.target for trigger in OURS.triggers}


@pytest.fixture(params=POOLS)
def scaled(request: pytest.FixtureRequest) -> Manifest:
    spec: Manifest = pool(request.param).one("ScaledObject")["spec"]
    return spec


def rules(behavior: Manifest) -> ScalingRules:
    return ScalingRules(
        stabilization_seconds=behavior["stabilizationWindowSeconds"],
        policies=tuple(
            RatePolicy(Unit(policy["type"]), policy["value"], policy["periodSeconds"])
            for policy in behavior["policies"]
        ),
    )


def test_the_loop_is_the_one_that_was_simulated(scaled: Manifest) -> None:
    assert (scaled["minReplicaCount"], scaled["pollingInterval"], scaled["cooldownPeriod"]) == (
        OURS.min_replicas,
        OURS.polling_seconds,
        OURS.cooldown_seconds,
    )
    behavior = scaled["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    assert (rules(behavior["scaleUp"]), rules(behavior["scaleDown"])) == (OURS.scale_up, OURS.scale_down)


def test_the_figure_is_asked_for_as_the_api_answers_it(scaled: Manifest) -> None:
    (trigger,) = (each["metadata"] for each in scaled["triggers"] if each["type"] == "metrics-api")
    url = urlsplit(trigger["url"])
    assert (url.scheme, url.path) == ("https", autoscaling.url_prefix)
    asked = AutoscalingQuery.model_validate({name: value for name, (value,) in parse_qs(url.query).items()})
    assert asked.target_seconds == OURS.target_seconds
    assert trigger["valueLocation"] in AutoscalingAnswer.model_fields
    assert float(trigger["targetValue"]) == TARGETS[DEMAND]


def test_the_net_is_the_one_that_was_simulated(scaled: Manifest) -> None:
    (trigger,) = (each["metadata"] for each in scaled["triggers"] if each["type"] == "prometheus")
    assert float(trigger["threshold"]) == TARGETS[MESSAGES]
    assert trigger["query"].startswith("last_over_time(")


def test_a_missing_metric_decides_nothing(scaled: Manifest) -> None:
    assert "fallback" not in scaled
    (net,) = (each["metadata"] for each in scaled["triggers"] if each["type"] == "prometheus")
    assert net["ignoreNullValues"] == "false"


@pytest.mark.parametrize("name", POOLS)
def test_a_pool_asks_for_the_models_that_it_serves(name: str) -> None:
    (trigger,) = (
        each["metadata"]
        for each in pool(name).one("ScaledObject")["spec"]["triggers"]
        if each["type"] == "metrics-api"
    )
    (models,) = parse_qs(urlsplit(trigger["url"]).query)["models"]
    served = ", ".join(f'"{model}"' for model in models.split(","))
    assert pool(name).environment["DARKROOM_MODELS"] == f"[{served}]"
