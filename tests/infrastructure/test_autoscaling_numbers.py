"""The ScaledObjects use the simulation's numbers and query a figure that the API provides."""

import shutil
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from benchmarks.autoscaling.autoscalers import DEMAND, MESSAGES, OURS
from benchmarks.autoscaling.hpa import RatePolicy, ScalingRules, Unit
from frontend_api.autoscaling.routes import AutoscalingQuery, AutoscalingResponse
from frontend_api.autoscaling.routes import blueprint as autoscaling
from tests.infrastructure.kustomizations import K8S, POOLS, Build, Manifest, built, pool

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


def test_scaled_object_has_the_simulated_scaling_rules(scaled: Manifest) -> None:
    assert (scaled["minReplicaCount"], scaled["pollingInterval"], scaled["cooldownPeriod"]) == (
        OURS.min_replicas,
        OURS.polling_seconds,
        OURS.cooldown_seconds,
    )
    behavior = scaled["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    assert (rules(behavior["scaleUp"]), rules(behavior["scaleDown"])) == (OURS.scale_up, OURS.scale_down)


def test_scaled_object_queries_the_demand_that_the_api_returns(scaled: Manifest) -> None:
    (trigger,) = (each["metadata"] for each in scaled["triggers"] if each["type"] == "metrics-api")
    url = urlsplit(trigger["url"])
    assert (url.scheme, url.path) == ("https", autoscaling.url_prefix)
    asked = AutoscalingQuery.model_validate({name: value for name, (value,) in parse_qs(url.query).items()})
    assert asked.target_seconds == OURS.target_seconds
    assert trigger["valueLocation"] in AutoscalingResponse.model_fields
    assert float(trigger["targetValue"]) == TARGETS[DEMAND]


def test_scaled_object_has_the_simulated_fallback_trigger(scaled: Manifest) -> None:
    (trigger,) = (each["metadata"] for each in scaled["triggers"] if each["type"] == "prometheus")
    assert float(trigger["threshold"]) == TARGETS[MESSAGES]
    assert trigger["query"].startswith("last_over_time(")


def test_scaled_object_ignores_missing_metrics(scaled: Manifest) -> None:
    assert "fallback" not in scaled
    (net,) = (each["metadata"] for each in scaled["triggers"] if each["type"] == "prometheus")
    assert net["ignoreNullValues"] == "true"  # an empty subscription is not a missing figure


def asked_for(build: Build) -> list[str]:
    """Return the models whose demand a pool's ScaledObject queries."""
    triggers = build.one("ScaledObject")["spec"]["triggers"]
    (figure,) = (each["metadata"] for each in triggers if each["type"] == "metrics-api")
    (models,) = parse_qs(urlsplit(figure["url"]).query)["models"]
    return models.split(",")


@pytest.mark.parametrize("name", POOLS)
def test_pool_queries_the_demand_of_its_models(name: str) -> None:
    assert asked_for(pool(name)) == pool(name).environment["DARKROOM_MODELS"].split(",")


def test_pool_of_several_models_queries_the_demand_of_all(tmp_path: Path) -> None:
    copied = shutil.copytree(K8S, tmp_path / "k8s")
    kustomization = copied / "overlays" / "a100" / "kustomization.yaml"
    kustomization.write_text(kustomization.read_text().replace("MODELS=sdxl", "MODELS=sdxl,flux.1-dev"))
    assert asked_for(built(str(kustomization.parent))) == ["sdxl", "flux.1-dev"]


def test_no_model_is_in_two_pools() -> None:
    """Two such pools would both scale for all its tasks, and count each other's busy workers."""
    models = [model for name in POOLS for model in asked_for(pool(name))]
    assert len(models) == len(set(models))
