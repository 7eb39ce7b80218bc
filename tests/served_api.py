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
from dataclasses import replace
from pathlib import Path

import httpx
from flask import Flask

from local_stack.loopback import LOOPBACK, free_port
from tests.unit.frontend_api.conftest import INPUT_LIMITS, Api
from tests.unit.frontend_api.inputs.test_use import WITH_PICTURES

_PROJECT = Path(__file__).resolve().parents[1]
_READY_WITHIN_SECONDS = 60


def build_app() -> Flask:
    """Build the application that gunicorn loads, in the worker process."""
    if "OPEN_FILES" in os.environ:
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (int(os.environ["OPEN_FILES"]), most))
    return Api(folder=Path(tempfile.mkdtemp())).app


def build_app_for_edits() -> Flask:
    """Build an application that accepts OpenAI's edits. No worker generates their images."""
    limits = replace(INPUT_LIMITS, bytes_each=20_000_000)
    return Api(
        folder=Path(tempfile.mkdtemp()),
        catalog=WITH_PICTURES,
        input_limits=limits,
        max_waiting=20,
        max_waiting_per_caller=20,
    ).app


@contextlib.contextmanager
def served_by_gunicorn(build: str = "build_app", **environment: str) -> Iterator[int]:
    """Start a gunicorn process with the production configuration and yield its port.

    `build` is the function of this module that builds the application.
    """
    port = free_port()
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "gunicorn", "--config", "frontend_api/gunicorn_conf.py"),
            f"tests.served_api:{build}()",
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
