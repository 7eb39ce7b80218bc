"""The WSGI application that gunicorn serves. BUCKET_DIRECTORY is the folder of the objects.

Run one worker process only: its threads share the store.
"""

import os
from pathlib import Path

from flask import Flask

from local_stack.bucket_server.app import create_app
from local_stack.bucket_server.object_store import ObjectStore


def build_app() -> Flask:
    return create_app(ObjectStore(Path(os.environ["BUCKET_DIRECTORY"])))
