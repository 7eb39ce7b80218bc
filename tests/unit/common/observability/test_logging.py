"""Log lines in Cloud Logging's format, checked on a real process's output."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

PROGRAM = """
import logging
import threading
import structlog
from common.observability.logging import configure_logging
from opentelemetry.sdk.trace import TracerProvider

configure_logging(process="worker", project_id=PROJECT)
log = structlog.get_logger()
with TracerProvider().get_tracer("test").start_as_current_span("attempt"):
    log.info("attempt_finished", task_id="t1", seconds=1.5)
logging.getLogger("library").warning("from a library")
logging.getLogger("google.chatty").info("not worth a line")
def fail(prompt):
    try:
        1 / 0
    except ZeroDivisionError:
        log.exception("loop_failed")
thread = threading.Thread(target=fail, args=("a secret wish",))
thread.start()
thread.join()
"""


def lines(project_id: str | None = None) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output(project_id).splitlines()]


def output(project_id: str | None = None, **environment: str) -> str:
    program = f"PROJECT = {project_id!r}\n{PROGRAM}"
    ran = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **environment},
    )
    return ran.stdout


def test_log_lines_have_the_fields_of_cloud_logging() -> None:
    finished, library, failed = lines()
    assert finished["message"] == "attempt_finished"
    assert (finished["severity"], finished["process"], finished["task_id"]) == ("INFO", "worker", "t1")
    assert (len(finished["trace_id"]), len(finished["span_id"])) == (32, 16)
    assert "trace_id" not in library, "outside of any span"
    assert (library["message"], library["severity"]) == ("from a library", "WARNING")
    assert failed["severity"] == "ERROR"
    assert failed["exception"][0]["exc_type"] == "ZeroDivisionError"
    assert failed["process"] == "worker", "also on a thread that knows nothing of the main one's context"


def test_log_lines_of_a_project_have_cloud_trace_fields() -> None:
    finished, library, _ = lines("my-project")
    project, _, trace_id = finished["logging.googleapis.com/trace"].rpartition("/traces/")
    assert (project, len(trace_id)) == ("projects/my-project", 32)
    assert len(finished["logging.googleapis.com/spanId"]) == 16
    assert finished["logging.googleapis.com/trace_sampled"] is True
    assert not any(name.startswith("logging.googleapis.com") for name in library)


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_traceback_contains_no_variable_values(log_format: str) -> None:
    written = output(DARKROOM_LOG_FORMAT=log_format)
    assert "ZeroDivisionError" in written
    assert "a secret wish" not in written
