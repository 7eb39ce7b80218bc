"""The admission policy, evaluated: a worker may change one annotation of its own pod, nothing else."""

from copy import deepcopy
from typing import Any

import cel
import pytest

from tests.infrastructure.kustomizations import Manifest, built

WORKER = "system:serviceaccount:darkroom:darkroom-worker"
REMOVAL_COST = "controller.kubernetes.io/pod-deletion-cost"
POD: Manifest = {
    "metadata": {
        "name": "worker-1",
        "labels": {"app.kubernetes.io/name": "darkroom-worker"},
        "annotations": {"gke-gcsfuse/volumes": "true"},
        "ownerReferences": [{"kind": "ReplicaSet", "name": "darkroom-worker"}],
    },
    "spec": {"containers": [{"name": "worker", "image": "darkroom-worker"}]},
}


def allowed(
    changed: Manifest, *, user: str = WORKER, caller: str | None = "worker-1", old: Manifest = POD
) -> bool:
    """Return whether the policy allows this pod to replace the old one."""
    spec = built("shared").one("ValidatingAdmissionPolicy")["spec"]
    extra = {} if caller is None else {"authentication.kubernetes.io/pod-name": [caller]}
    request: dict[str, Any] = {
        "request": {"name": old["metadata"]["name"], "userInfo": {"username": user, "extra": extra}},
        "object": changed,
        "oldObject": old,
    }
    if not all(cel.evaluate(rule["expression"], request) for rule in spec["matchConditions"]):
        return True
    return all(cel.evaluate(rule["expression"], request) for rule in spec["validations"])


def changed(**metadata: Any) -> Manifest:
    pod = deepcopy(POD)
    pod["metadata"] |= metadata
    return pod


def annotated(**annotations: str) -> Manifest:
    return changed(annotations={**POD["metadata"]["annotations"], **annotations})


def test_policy_allows_a_worker_to_set_its_pods_deletion_cost() -> None:
    assert allowed(annotated(**{REMOVAL_COST: "3"}))
    assert allowed(annotated(**{REMOVAL_COST: "0"}), old=annotated(**{REMOVAL_COST: "3"}))


def test_policy_allows_the_first_annotation_of_a_pod() -> None:
    bare = deepcopy(POD)
    del bare["metadata"]["annotations"]
    annotated = deepcopy(bare)
    annotated["metadata"]["annotations"] = {REMOVAL_COST: "1"}
    assert allowed(annotated, old=bare)


@pytest.mark.parametrize("caller", ["worker-2", None])
def test_policy_refuses_changes_of_another_pod(caller: str | None) -> None:
    assert not allowed(annotated(**{REMOVAL_COST: "3"}), caller=caller)


@pytest.mark.parametrize(
    "pod",
    [
        pytest.param(annotated(other="1"), id="another annotation"),
        pytest.param(annotated(**{"gke-gcsfuse/volumes": "false"}), id="an annotation of others"),
        pytest.param(changed(annotations={REMOVAL_COST: "1"}), id="an annotation removed"),
        pytest.param(changed(labels={}), id="labels"),
        pytest.param(changed(finalizers=["stay"]), id="finalizers"),
        pytest.param(changed(ownerReferences=[]), id="owners"),
        pytest.param({**POD, "spec": {"containers": []}}, id="the spec"),
    ],
)
def test_policy_refuses_other_changes_of_the_own_pod(pod: Manifest) -> None:
    assert not allowed(pod)


def test_policy_ignores_other_callers() -> None:
    assert allowed(changed(labels={}), user="system:node:n1", caller=None)


def test_policy_is_bound_to_the_workers_namespace_and_fails_closed() -> None:
    shared = built("shared")
    policy, binding = (
        shared.one("ValidatingAdmissionPolicy"),
        shared.one("ValidatingAdmissionPolicyBinding")["spec"],
    )
    assert policy["spec"]["failurePolicy"] == "Fail"
    assert binding["policyName"] == policy["metadata"]["name"]
    assert binding["validationActions"] == ["Deny"]
    assert binding["matchResources"]["namespaceSelector"]["matchLabels"] == {
        "kubernetes.io/metadata.name": shared.one("Namespace")["metadata"]["name"]
    }
    (rule,) = shared.one("Role")["rules"]
    assert rule == {"apiGroups": [""], "resources": ["pods"], "verbs": ["patch"]}
