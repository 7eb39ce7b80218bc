"""GcsInputStore with more inputs than a test can store on the bucket server."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from unittest.mock import MagicMock

from google.auth.credentials import AnonymousCredentials
from google.cloud.storage import Blob
from google.cloud.storage import Client as StorageClient

from common.domain.inputs import input_object_name
from frontend_api.adapters.gcs_input_store import GcsInputStore
from tests.factories import NOW

INPUTS_OF_ONE_CALLER = 10_000


def blob(bucket: Any, name: str, *, expires_at: datetime) -> Blob:
    resource = {
        "name": name,
        "contentType": "image/png",
        "size": "9",
        "generation": "1",
        "metageneration": "1",
        "timeCreated": _text(NOW),
        "customTime": _text(expires_at),
        "metadata": {"width": "1", "height": "1", "kept": "no"},
    }
    found = Blob(name, bucket)
    found._set_properties(resource)  # as the library does with a page of a listing
    return found


def test_inputs_of_one_caller_hide_no_expired_ones_of_others() -> None:
    client = StorageClient(project="demo-x", credentials=AnonymousCredentials())
    bucket = client.bucket("inputs")
    expired = input_object_name("zoe", "0")

    def found(**_: Any) -> Iterator[Blob]:
        later = NOW + timedelta(days=1)
        for number in range(INPUTS_OF_ONE_CALLER):
            yield blob(bucket, input_object_name("ada", str(number)), expires_at=later)
        yield blob(bucket, expired, expires_at=NOW)

    bucket.list_blobs = found
    store = GcsInputStore(MagicMock(bucket=lambda _: bucket), bucket="inputs")
    assert [each.object_name for each in store.list_expired(now=NOW)] == [expired]


def _text(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
