"""Access to the worker's bucket."""

from google.cloud.storage import Bucket, Client
from requests.adapters import HTTPAdapter


def open_bucket(project_id: str, name: str, *, connections: int) -> Bucket:
    """Return the bucket without a call. STORAGE_EMULATOR_HOST selects an emulator."""
    client = Client(project=project_id)
    # One connection per uploading thread; by default only ten are pooled.
    for scheme in ("https://", "http://"):
        client._http.mount(scheme, HTTPAdapter(pool_maxsize=connections))
    return client.bucket(name)
