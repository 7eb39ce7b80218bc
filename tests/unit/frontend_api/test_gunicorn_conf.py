"""gunicorn's configuration from the environment and the system's limits."""

import os
import runpy
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from gunicorn.config import Config
from gunicorn.http.parser import RequestParser
from gunicorn.http.wsgi import create

CONFIGURATION = Path(__file__).parents[3] / "frontend_api" / "gunicorn_conf.py"
REPORT = """
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 4_096))
configuration = runpy.run_path(sys.argv[1])
configuration["on_starting"](None)
print(configuration["threads"], configuration["worker_connections"], *resource.getrlimit(resource.RLIMIT_NOFILE))
"""
PREPARED = """
import runpy, sys
from unittest.mock import Mock
runpy.run_path(sys.argv[1])["post_worker_init"](Mock())
print(sys.getswitchinterval())
"""


def configured(**environment: str) -> list[int]:
    """Return threads, connections, and the limits on open files."""
    argv = [sys.executable, "-c", REPORT, str(CONFIGURATION)]
    ran = subprocess.run(argv, env={**os.environ, **environment}, capture_output=True, text=True, check=True)
    return [int(word) for word in ran.stdout.split()]


def test_waiting_callers_have_threads_of_their_own() -> None:
    threads, connections, *_ = configured(DARKROOM_API_THREADS="10", DARKROOM_MAX_WAITING="40")
    assert threads == 8 * 10 + 40
    assert connections > threads


def test_file_limit_is_raised_up_to_the_systems_maximum() -> None:
    *_, few, most = configured(DARKROOM_API_THREADS="10", DARKROOM_MAX_WAITING="40")
    assert (few, most) == (8 * 10 + 40 + 2_600 + 2 * 40 + 256, 4_096)
    *_, all_there_are, _ = configured(DARKROOM_MAX_WAITING="10000")
    assert all_there_are == 4_096


def environ_of(peer: str, *headers: str) -> dict[str, Any]:
    """Return what the application reads of a request with these headers."""
    config = Config()
    for name, value in runpy.run_path(str(CONFIGURATION)).items():
        if name in config.settings:
            config.set(name, value)
    head = "\r\n".join(("GET /v1/models HTTP/1.1", "Host: api.example", *headers, "", ""))
    request = next(RequestParser(config, iter([head.encode()]), (peer, 1_024)))
    connection, other_end = socket.socketpair()
    with connection, other_end:
        environ: dict[str, Any] = create(request, connection, (peer, 1_024), ("127.0.0.1", 80), config)[1]
    return environ


@pytest.mark.parametrize("header", ["SCRIPT_NAME: /v1", "SCRIPT_NAME: /other", "PATH_INFO: /healthz"])
def test_no_header_changes_the_path(header: str) -> None:
    environ = environ_of("127.0.0.1", header)
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("", "/v1/models")


def test_scheme_is_that_of_the_trusted_proxys_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    header = "X-Forwarded-Proto: https"
    assert environ_of("198.51.100.7", header)["wsgi.url_scheme"] == "http"
    monkeypatch.setenv("DARKROOM_TRUSTED_PROXIES", "1")
    assert environ_of("198.51.100.7", header)["wsgi.url_scheme"] == "https"
    assert environ_of("198.51.100.7", "X-Forwarded-Proto: http")["wsgi.url_scheme"] == "http"


def test_computing_thread_lets_others_run_after_a_millisecond() -> None:
    argv = [sys.executable, "-c", PREPARED, str(CONFIGURATION)]
    ran = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert float(ran.stdout) == pytest.approx(0.001)
