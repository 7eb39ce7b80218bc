"""The command line: python -m tools.integrity --project PROJECT --bucket BUCKET, or --local."""

import os
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from common.adapters.firestore_client import firestore_client
from common.settings import SettingsError
from frontend_api.settings import ApiSettings
from local_stack.data_directory import DataDirectory
from local_stack.loopback import LOOPBACK
from local_stack.provisioning import ResourceNames
from tools.integrity.deployment import check_deployment
from tools.integrity.google_cloud import GoogleCloudContents

VIOLATIONS_EXIT_CODE = 1
USAGE_EXIT_CODE = 2


def main(
    *,
    project: Annotated[str | None, typer.Option(help="The project of the deployment.")] = None,
    bucket: Annotated[str | None, typer.Option(help="The bucket of the images.")] = None,
    local: Annotated[
        Path | None,
        typer.Option(metavar="DATA_DIR", help="Check the local stack that runs on this directory instead."),
    ] = None,
    grace_minutes: Annotated[
        float, typer.Option(min=0, help="Delays and leftovers of at most this age are permitted.")
    ] = 15.0,
) -> None:
    """Check that no task of a deployment was lost, doubled or damaged.

    Reads all documents of tasks and all their objects completely, and changes nothing. The account
    needs to read Firestore and the bucket. Exit code 1: there are violations.

    When rescue should have acted on a task is read from the API's variables: set
    DARKROOM_RESCUE_NEVER_ENQUEUED_SECONDS, DARKROOM_RESCUE_ENQUEUED_SECONDS,
    DARKROOM_RESCUE_CLAIM_DEAD_SECONDS and DARKROOM_GIVE_UP_AFTER_DAYS as in the deployment.
    """
    try:
        rescue = ApiSettings().rescue_policy
    except SettingsError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(USAGE_EXIT_CODE) from None
    if local is not None:
        contents = _local_contents(DataDirectory(local))
    elif project and bucket:
        client = firestore_client(project, emulator_host=os.environ.get("FIRESTORE_EMULATOR_HOST"))
        contents = GoogleCloudContents(client, storage.Client(project=project), bucket=bucket)
    else:
        print("Give --project and --bucket, or --local with the directory of a local stack.", file=sys.stderr)
        raise typer.Exit(USAGE_EXIT_CODE)
    report = check_deployment(
        contents, rescue=rescue, now=datetime.now(UTC), grace=timedelta(minutes=grace_minutes)
    )
    for finding in report.findings:
        print(finding)
    kinds = Counter(finding.kind for finding in report.findings)
    counted = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())) or "no violations"
    print(f"{report.tasks} tasks and {report.objects} objects checked: {counted}")
    if report.findings:
        raise typer.Exit(VIOLATIONS_EXIT_CODE)


def _local_contents(data: DataDirectory) -> GoogleCloudContents:
    state = data.state()
    if state is None or not data.is_in_use():
        print(data.not_running_message(), file=sys.stderr)
        raise typer.Exit(USAGE_EXIT_CODE)
    names = ResourceNames()
    objects = storage.Client(
        project=names.project_id,
        credentials=AnonymousCredentials(),
        client_options={"api_endpoint": f"http://{LOOPBACK}:{state.ports['bucket-server']}"},
    )
    documents = firestore_client(
        names.project_id, emulator_host=f"{LOOPBACK}:{state.ports['firestore-proxy']}"
    )
    return GoogleCloudContents(documents, objects, bucket=names.images_bucket)


if __name__ == "__main__":
    typer.run(main)
