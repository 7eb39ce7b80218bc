"""The check of a deployment, on a running local stack."""

import subprocess
import sys

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from tests.system.conftest import System

pytestmark = pytest.mark.end_to_end


def check(system: System) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "tools.integrity", "--local", str(system.data_directory)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def delete_object(system: System, name: str) -> None:
    environment = system.stack.environment
    client = storage.Client(
        project=environment["GOOGLE_CLOUD_PROJECT"],
        credentials=AnonymousCredentials(),
        client_options={"api_endpoint": environment["STORAGE_EMULATOR_HOST"]},
    )
    client.bucket(environment["DARKROOM_IMAGES_BUCKET"]).blob(name).delete()


def test_check_reports_a_deleted_image_only(system: System) -> None:
    task = system.client.completed("a large red circle", steps=2)
    intact = check(system)
    assert (intact.returncode, "no violations" in intact.stdout) == (0, True), intact.stdout + intact.stderr
    name = task.images[0].object_name
    delete_object(system, name)
    broken = check(system)
    assert (broken.returncode, broken.stdout.count("\n")) == (1, 2), broken.stdout + broken.stderr
    assert f"corrupt: task {task.id}: {name} does not exist" in broken.stdout
    system.client.http.delete(f"/v1/tasks/{task.id}").raise_for_status()
