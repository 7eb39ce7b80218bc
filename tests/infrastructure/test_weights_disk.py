"""scripts/make_weights_disk against a gcloud that records its calls, and the manifests that use the disk."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.infrastructure.dockerfiles import ROOT
from tests.infrastructure.kustomizations import K8S, built
from tests.infrastructure.terraform_files import resources

GCLOUD = """#!/bin/sh
echo "$2 $3" >>"$CALLS"
for word; do
  case "$word" in --metadata-from-file=startup-script=*) cp "${word##*=}" "$CALLS.script" ;; esac
done
case "$3" in
  create) case "$2" in "$FAILING") exit 1;; esac ;;
  get-guest-attributes) echo "$RESULT" ;;
esac
"""


def make_disk(folder: Path, *, result: str = "copied", failing: str = "none") -> tuple[int, str, list[str]]:
    """Run the script. Return its exit status, its output, and the calls of gcloud."""
    (folder / "gcloud").write_text(GCLOUD)
    (folder / "gcloud").chmod(0o755)
    (folder / "tmp").mkdir(exist_ok=True)
    calls = folder / "calls"
    calls.touch()
    done = subprocess.run(
        [ROOT / "scripts" / "make_weights_disk", "flux", "europe-west4-a", "100"],
        env={
            **os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "PROJECT": "p", "TMPDIR": str(folder / "tmp"),
            "CALLS": str(calls), "RESULT": result, "FAILING": failing, "POLLS": "2", "POLL_SECONDS": "0",
        },
        timeout=60, check=False, text=True, stdout=subprocess.PIPE,
    )  # fmt: skip
    return done.returncode, done.stdout, calls.read_text().splitlines()


def test_disk_is_filled_by_a_machine_and_becomes_readable_by_many(tmp_path: Path) -> None:
    status, output, calls = make_disk(tmp_path)
    assert status == 0
    assert calls == [
        "disks create", "instances create", "instances get-guest-attributes", "instances delete", "disks update",
    ]  # fmt: skip
    script = (tmp_path / "calls.script").read_text()
    assert 'rsync --recursive "gs://p-darkroom-weights/models" /copy/models' in script
    assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0
    volume, claim = yaml.safe_load_all(output)
    assert volume["spec"]["csi"]["volumeHandle"] == "projects/p/zones/europe-west4-a/disks/flux"
    assert volume["spec"]["claimRef"] == {name: claim["metadata"][name] for name in ("namespace", "name")}
    assert claim["spec"]["volumeName"] == volume["metadata"]["name"]


@pytest.mark.parametrize(
    ("result", "failing", "created"),
    [
        ("failed", "none", ["instances delete", "disks delete"]),
        ("", "none", ["instances delete", "disks delete"]),
        ("copied", "instances", ["instances delete", "disks delete"]),
        ("copied", "disks", []),
    ],
    ids=["copy fails", "no result in time", "no machine", "no disk"],
)
def test_failed_copy_leaves_nothing(tmp_path: Path, result: str, failing: str, created: list[str]) -> None:
    status, output, calls = make_disk(tmp_path, result=result, failing=failing)
    assert (status, output) == (1, "")
    assert not list((tmp_path / "tmp").iterdir())
    assert [call for call in calls if call.endswith("delete")] == created


def test_startup_script_is_no_file_that_exists(tmp_path: Path) -> None:
    """Another user of the computer knows the disk's name, and could replace the text in a file of theirs."""
    theirs = tmp_path / "tmp" / "copy-to-flux.sh"
    theirs.parent.mkdir()
    theirs.touch()
    assert make_disk(tmp_path)[0] == 0
    assert (tmp_path / "calls.script").read_text()
    assert (list(theirs.parent.iterdir()), theirs.read_text()) == ([theirs], "")


def test_script_uses_names_that_terraform_creates() -> None:
    script = (ROOT / "scripts" / "make_weights_disk").read_text()
    assert f"SUBNET:-{resources('google_compute_subnetwork')['nodes']['name']}}}" in script
    assert f"{resources('google_service_account')['worker']['account_id']}@" in script


def test_workers_mount_the_disk_of_the_claim(tmp_path: Path) -> None:
    shutil.copytree(K8S, tmp_path / "k8s")
    overlay = tmp_path / "k8s" / "overlays" / "a100" / "kustomization.yaml"
    text = overlay.read_text()
    overlay.write_text(text.replace("  - ../../weights\n", "  - ../../weights\n  - ../../weights_disk\n"))
    pod: dict[str, Any] = built(str(overlay.parent)).pod["spec"]
    mounts = {mount["name"]: mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
    assert (mounts["weights"], mounts["weights-disk"]) == ("/weights", "/disk")
    (claim,) = [
        volume["persistentVolumeClaim"] for volume in pod["volumes"] if "persistentVolumeClaim" in volume
    ]
    assert claim == {"claimName": "darkroom-weights-disk", "readOnly": True}
