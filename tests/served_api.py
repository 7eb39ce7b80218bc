"""The API with fakes, served by a real gunicorn with the production configuration."""

import contextlib
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
from flask import Flask

from local_stack.loopback import LOOPBACK, free_port
from tests.unit.frontend_api.conftest import Api

_PROJECT = Path(__file__).resolve().parents[1]
_READY_WITHIN_SECONDS = 60


def build_app() -> Flask:
    """Build the application that gunicorn loads, in the worker process."""
    if "OPEN_FILES" in os.environ:
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (int(os.environ["OPEN_FILES"]), most))
    return Api(folder=Path(tempfile.mkdtemp())).app


@contextlib.contextmanager
def served_by_gunicorn(**environment: str) -> Iterator[int]:
    """Start a gunicorn process with the production configuration and yield its port."""
    port = free_port()
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "gunicorn", "--config", "frontend_api/gunicorn_conf.py"),
            "tests.served_api:build_app()",
        ],
        cwd=_PROJECT,
        env={**os.environ, **environment, "PORT": str(port), "DARKROOM_BIND_HOST": LOOPBACK},
    )
    try:
        _wait_until_ready(process, port)
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise


def _wait_until_ready(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + _READY_WITHIN_SECONDS
    while True:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"http://{LOOPBACK}:{port}/healthz", trust_env=False).is_success:
                return
        assert process.poll() is None, "gunicorn has ended"
        assert time.monotonic() < deadline, "gunicorn does not answer"
        time.sleep(0.05)
