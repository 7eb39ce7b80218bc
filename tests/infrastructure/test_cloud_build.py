"""The pipeline's file: mistakes that Cloud Build would refuse, or that would release without checks."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.cloud.devtools.cloudbuild_v1.types import Build
from google.protobuf import json_format

from tests.infrastructure.dockerfiles import DOCKERFILES, ROOT
from tests.infrastructure.kustomizations import POOLS

TEXT = (ROOT / "cloudbuild.yaml").read_text()
BUILD: dict[str, Any] = yaml.safe_load(TEXT)
STEPS: dict[str, dict[str, Any]] = {step["id"]: step for step in BUILD["steps"]}
BUILT_IN = {"PROJECT_ID", "BUILD_ID"}
DEPLOYS = ("canary", "workers", "traffic")

each_script = pytest.mark.parametrize("step", [name for name, step in STEPS.items() if "script" in step])


def before(step: str) -> set[str]:
    """Return every step that must succeed before this one starts."""
    found: set[str] = set()
    queue = [name for name in STEPS[step]["waitFor"] if name != "-"]
    while queue:
        name = queue.pop()
        if name not in found:
            found.add(name)
            queue += [other for other in STEPS[name].get("waitFor", []) if other != "-"]
    return found


def test_pipeline_has_only_fields_of_cloud_build() -> None:
    build = json_format.ParseDict(BUILD, Build.pb(Build()))
    assert len(build.steps) == len(STEPS) == len(BUILD["steps"])


def test_steps_wait_only_for_earlier_steps() -> None:
    names = list(STEPS)
    for position, (name, step) in enumerate(STEPS.items()):
        # A step without waitFor waits for all steps before it, so only the first may omit it.
        assert position == 0 or "waitFor" in step, name
        assert set(step.get("waitFor", [])) - {"-"} <= set(names[:position]), name


@pytest.mark.parametrize("step", DEPLOYS)
def test_deployment_steps_wait_for_checks_and_scans(step: str) -> None:
    assert {"checks", "build-api", "build-worker", "push", "scan", "sbom-api", "sbom-worker"} <= before(step)


def test_traffic_is_routed_after_the_smoke_test_and_the_workers() -> None:
    assert before("traffic") == set(STEPS) - {"traffic"}
    assert "smoke-test" in before("workers")
    assert "--no-traffic" in STEPS["canary"]["script"]


def test_steps_that_tag_a_revision_remove_the_tag_at_their_end() -> None:
    tagging = {
        name: step["script"] for name, step in STEPS.items() if "--update-tags" in step.get("script", "")
    }
    assert set(tagging) == {"smoke-test"}
    for script in tagging.values():
        assert script.count("--remove-tags=canary --quiet\n}\ntrap 'remove_tag ||") == 1
        (removal,) = re.findall(r"^trap 'remove_tag .*' EXIT$", script, re.MULTILINE)
        assert script.index(removal) < script.index('--update-tags="canary=')
    assert not re.search(r"--(set-tags|tag)\b(?! canary)", "".join(tagging.values()))


@pytest.mark.parametrize("page", ["deploy", "releases"])
def test_documented_changes_of_traffic_remove_the_tag(page: str) -> None:
    text = (ROOT / "docs" / "operating" / f"{page}.md").read_text().replace("\\\n", "")
    commands = re.findall(r"^gcloud run services update-traffic .*$", text, re.MULTILINE)
    assert commands
    assert [command for command in commands if not command.endswith("--remove-tags=canary")] == []


@pytest.mark.parametrize(
    ("pools", "worker_pool", "expected"),
    [
        ("a b", "", ["credentials", "roll out"]),
        ("", "pool", ["update pool"]),
        ("a b", "pool", ["credentials", "roll out", "update pool"]),  # nothing rolls the last one back
        ("", "", []),
    ],
)
@pytest.mark.parametrize("fails", [False, True])
def test_workers_on_cloud_run_are_updated_after_those_of_the_cluster(
    tmp_path: Path, pools: str, worker_pool: str, expected: list[str], fails: bool
) -> None:
    environment = tmp_path / "gpu_subscriber" / "k8s" / "environment"
    environment.mkdir(parents=True)
    (environment / "parameters.env").write_text("PROJECT=mine\n")
    (tmp_path / "worker.image").write_text("image")
    for program, body in {
        "gcloud": 'case "$2" in clusters) echo credentials;; worker-pools) echo "update ${4}";; esac >>calls',
        "python3": f'echo "roll out" >>calls; exit {int(fails)}',
    }.items():
        (tmp_path / program).write_text(f"#!/bin/bash\n{body}\n")
        (tmp_path / program).chmod(0o700)
    names = {"_POOLS": pools, "_WORKER_POOL": worker_pool, "_REGION": "r", "_CLUSTER": "c"}
    done = subprocess.run(
        ["bash", "-c", STEPS["workers"]["script"].replace("/workspace", str(tmp_path))],
        cwd=tmp_path,
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "_CLUSTER_LOCATION": "r", **names},
        check=False,
    )
    calls = (tmp_path / "calls").read_text().splitlines() if (tmp_path / "calls").exists() else []
    assert done.returncode == (1 if fails and pools else 0)
    assert calls == [call for call in expected if not (fails and pools and call == "update pool")]


def test_substitutions_are_declared_and_used() -> None:
    declared = set(BUILD["substitutions"])
    used = set(re.findall(r"\$\{?(_[A-Z_]+|PROJECT_ID|BUILD_ID|[A-Z]+_SHA|TAG_NAME)\b", TEXT))
    assert used - declared - BUILT_IN == set()
    assert declared - used == set()
    assert BUILD["options"]["automapSubstitutions"]
    assert BUILD["options"]["dynamicSubstitutions"]


def test_arguments_use_substitutions_that_cloud_build_replaces() -> None:
    for name, step in STEPS.items():
        assert ("script" in step) != ("args" in step), name
        assert not re.search(r"\$(?!\{)", " ".join(step.get("args", []))), name


@each_script
def test_scripts_are_valid_shell(step: str) -> None:
    script = STEPS[step]["script"]
    shell = re.match(r"#!(/usr/bin/env bash|/bin/sh)\nset -euo? ?(pipefail)?\n", script)
    assert shell, "a script names its shell and stops at the first failure"
    checked = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")


@each_script
def test_python_inside_scripts_is_valid(step: str) -> None:
    for program in re.findall(r"python3 -c '(.*?)'", STEPS[step]["script"], re.DOTALL):
        compile(program, step, "exec")


def test_files_that_steps_run_exist() -> None:
    for dockerfile in DOCKERFILES.values():
        assert f"--file {dockerfile.relative_to(ROOT)}" in TEXT
        bases = re.findall(r"^FROM (\S+)", dockerfile.read_text(), re.MULTILINE)
        assert all(base.startswith("$DOCKER_IMAGES/") for base in bases), "bases come from the mirror"
    assert TEXT.count('--build-arg "DOCKER_IMAGES=$_DOCKER_IMAGES"') == len(DOCKERFILES)
    for program in (".ci/run", "scripts/smoke_test"):
        assert program in TEXT
        assert (ROOT / program).stat().st_mode & 0o111
    assert set(BUILD["substitutions"]["_POOLS"].split()) <= set(POOLS)


def test_images_of_steps_have_exact_versions() -> None:
    assert [
        step["name"] for step in STEPS.values() if not re.search(r":v?\d+\.\d+\.\d+(-[a-z]+)?$", step["name"])
    ] == []


def test_step_timeouts_are_within_the_builds_timeout() -> None:
    def seconds(of: dict[str, Any]) -> int:
        return int(of["timeout"].removesuffix("s"))

    def longest_until(step: str) -> int:
        waits = [name for name in STEPS[step].get("waitFor", []) if name != "-"]
        return seconds(STEPS[step] | {"timeout": STEPS[step].get("timeout", "600s")}) + max(
            (longest_until(name) for name in waits), default=0
        )

    assert max(seconds(step) for step in STEPS.values() if "timeout" in step) <= seconds(BUILD)
    assert longest_until("traffic") - seconds(STEPS["workers"]) <= seconds(BUILD)


def test_pipeline_has_its_own_service_account_and_no_secret() -> None:
    assert BUILD["serviceAccount"].endswith(
        "/serviceAccounts/darkroom-builder@${PROJECT_ID}.iam.gserviceaccount.com"
    )
    assert not re.search(r"(?i)password|secretEnv|availableSecrets|api[_-]?key", TEXT)
