"""Download a model of the Hugging Face Hub into a folder or a bucket, and print its catalog entry.

    python -m gpu_subscriber.download_model OWNER/NAME --to FOLDER --catalog models.json
    python -m gpu_subscriber.download_model OWNER/NAME --to gs://BUCKET/models

Only configurations and the safetensors that the worker would load are downloaded, after all headers and
the total size were checked. A repeated run skips files that are there with the hub's hash. HF_TOKEN is
the token for gated models.

Exit status: 0 if the model is there, 1 if it was refused or not downloaded, 2 for wrong arguments.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path, PurePosixPath
from typing import Any

from google.api_core.exceptions import GoogleAPICallError
from google.cloud.storage import Client

from common.domain.errors import DependencyUnavailableError
from common.model_files.weights import UnservableModelError
from gpu_subscriber.model_download.catalog_entries import merge_entry
from gpu_subscriber.model_download.checks import CheckedModel, checked_model
from gpu_subscriber.model_download.copying import copy_files
from gpu_subscriber.model_download.destinations import BucketDestination, Destination, FolderDestination
from gpu_subscriber.model_download.file_lock import locked
from gpu_subscriber.model_download.hub import HubRepository, ModelDownloadError
from gpu_subscriber.terminal import report

ENTRY = "catalog_entry.json"
_BUCKET = "gs://"


def main() -> int:
    """Download the model; return the exit status."""
    arguments = parser().parse_args()
    try:
        entry = download(arguments)
    except (
        ModelDownloadError,
        UnservableModelError,
        DependencyUnavailableError,
        GoogleAPICallError,
    ) as error:
        report(f"download_model: {error}")
        return 1
    print(json.dumps(entry, indent=2))  # noqa: T201 (a command writes to its terminal)
    return 0


def download(
    arguments: argparse.Namespace, *, endpoint: str | None = None, token: str | None = None
) -> dict[str, Any]:
    """Check the model, copy its files, and return its catalog entry. HF_ENDPOINT and HF_TOKEN are the defaults."""
    repository = HubRepository.open(
        arguments.model, revision=arguments.revision, endpoint=endpoint, token=token
    )
    with tempfile.TemporaryDirectory() as scratch:
        model = checked_model(
            repository,
            max_bytes=round(arguments.max_gigabytes * 1e9),
            scratch=Path(scratch),
            file=arguments.file,
            variant=arguments.variant,
        )
    entry = {**model.entry, "name": arguments.name or model.entry["name"]}
    report(f"{repository.model} at {repository.commit}: {len(model.files)} files, {model.size:,} bytes")
    if arguments.to is None:
        entry |= {"source": repository.model, "revision": repository.commit}
    else:
        entry["source"] = _source(arguments, entry["name"], model)
        if not arguments.no_copy:
            destination = _destination(arguments.to, entry["name"])
            with destination.reserved(report):
                copy_files(repository, model.files, destination, report=report)
                destination.write_text(ENTRY, json.dumps(entry, indent=2) + "\n")
    if arguments.catalog is not None:
        with locked(arguments.catalog):
            merge_entry(arguments.catalog, entry)
    return entry


def _source(arguments: argparse.Namespace, name: str, model: CheckedModel) -> str:
    """Return the path of the model on the machines that serve it."""
    if arguments.to.startswith(_BUCKET):
        _, prefix = _bucket_and_prefix(arguments.to)
        folder = PurePosixPath(arguments.mounted_at) / prefix / name
    else:
        folder = PurePosixPath(Path(arguments.to).absolute()) / name
    return str(folder if arguments.file is None else folder / model.files[0].name)


def _destination(to: str, name: str) -> Destination:
    if not to.startswith(_BUCKET):
        return FolderDestination(Path(to) / name)
    bucket, prefix = _bucket_and_prefix(to)
    return BucketDestination(Client().bucket(bucket), str(PurePosixPath(prefix) / name))


def _bucket_and_prefix(to: str) -> tuple[str, str]:
    bucket, _, prefix = to.removeprefix(_BUCKET).partition("/")
    return bucket, prefix.strip("/")


def parser() -> argparse.ArgumentParser:
    """Return the command's options."""
    options = argparse.ArgumentParser(
        prog="python -m gpu_subscriber.download_model",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_argument("model", help="the model on the hub, such as owner/name")
    options.add_argument("--to", metavar="PLACE", help="a folder or gs://BUCKET/PREFIX; the model is a folder in it. "
                        "Without it, the model is only checked, and the entry names the hub")  # fmt: skip
    options.add_argument(
        "--name", help="the model's name in the catalog, and its folder (default: the hub's)"
    )
    options.add_argument("--revision", help="a commit, tag or branch of the hub (default: main)")
    options.add_argument("--variant", help="download *.VARIANT.safetensors, such as fp16")
    options.add_argument(
        "--file", metavar="NAME", help="download only this .safetensors file, a whole checkpoint"
    )
    options.add_argument("--max-gigabytes", type=float, default=100.0, metavar="N",
                        help="refuse a larger model (default: %(default)g)")  # fmt: skip
    options.add_argument("--catalog", type=Path, metavar="FILE",
                        help="add the entry to this catalog file, or update the paths of the existing one")  # fmt: skip
    options.add_argument("--mounted-at", default="/weights", metavar="PATH",
                        help="where workers mount the bucket (default: %(default)s)")  # fmt: skip
    options.add_argument("--no-copy", action="store_true", help="check the model and print the entry only")
    return options


if __name__ == "__main__":
    sys.exit(main())
