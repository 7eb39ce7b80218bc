"""How the worker reaches its bucket."""

from google.cloud.storage import Bucket, Client
from requests.adapters import HTTPAdapter


def open_bucket(project_id: str, name: str, *, connections: int) -> Bucket:
    """The bucket; no call is made. STORAGE_EMULATOR_HOST leads to a local one, as everywhere in Google's client."""
    client = Client(project=project_id)
    # One connection for each thread that uploads; by default ten are kept and the others opened again for each call.
    for scheme in ("https://", "http://"):
        client._http.mount(scheme, HTTPAdapter(pool_maxsize=connections))
    return client.bucket(name)
