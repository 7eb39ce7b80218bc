"""Every built manifest against the schemas of Kubernetes and KEDA: unknown fields are errors."""

import json
from pathlib import Path

import jsonschema
import kubernetes_validate
import pytest

from tests.infrastructure.kustomizations import BUILDS, Manifest, built

KEDA = json.loads((Path(__file__).parent / "schemas" / "keda.json").read_text())
KUBERNETES = ("1.33", "1.37")
"""The oldest supported version, and the newest with an available schema."""


def check(manifest: Manifest, kubernetes: str) -> None:
    if manifest["apiVersion"] == "keda.sh/v1alpha1":
        jsonschema.validate(manifest, KEDA[manifest["kind"]])
    else:
        kubernetes_validate.validate(manifest, kubernetes, strict=True)


@pytest.mark.parametrize("kubernetes", KUBERNETES)
@pytest.mark.parametrize("folder", BUILDS)
def test_manifests_match_their_schema(folder: str, kubernetes: str) -> None:
    manifests = built(folder).manifests
    assert manifests
    for manifest in manifests:
        check(manifest, kubernetes)


def test_schema_rejects_a_misspelt_field() -> None:
    deployment = json.loads(json.dumps(built("overlays/l4-spot").one("Deployment")))
    deployment["spec"]["template"]["spec"]["tolerances"] = []
    with pytest.raises(jsonschema.ValidationError, match="tolerances"):
        check(deployment, "1.33")
    scaled = json.loads(json.dumps(built("overlays/l4-spot").one("ScaledObject")))
    scaled["spec"]["maxReplicas"] = 3
    with pytest.raises(jsonschema.ValidationError, match="maxReplicas"):
        check(scaled, "1.33")
