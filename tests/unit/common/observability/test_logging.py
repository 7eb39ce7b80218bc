"""What a log line looks like to Cloud Logging, checked on a real process's output."""

import json
import subprocess
import sys
from typing import Any

PROGRAM = """
import logging
import threading
import structlog
from common.observability.logging import configure_logging
from common.observability.tracing import configure_tracing, tracer

configure_logging(process="worker")
configure_tracing(process="worker")
log = structlog.get_logger()
with tracer().start_as_current_span("attempt"):
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


def lines() -> list[dict[str, Any]]:
    ran = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    return [json.loads(line) for line in ran.stdout.splitlines()]


def test_lines_are_json_with_the_fields_that_cloud_logging_reads() -> None:
    finished, library, failed = lines()
    assert finished["message"] == "attempt_finished"
    assert (finished["severity"], finished["process"], finished["task_id"]) == ("INFO", "worker", "t1")
    assert len(finished["trace_id"]) == 32
    assert (library["message"], library["severity"]) == ("from a library", "WARNING")
    assert failed["severity"] == "ERROR"
    assert failed["exception"][0]["exc_type"] == "ZeroDivisionError"
    assert failed["process"] == "worker", "also on a thread that knows nothing of the main one's context"


def test_a_traceback_never_tells_what_the_variables_held() -> None:
    assert "a secret wish" not in json.dumps(lines())
