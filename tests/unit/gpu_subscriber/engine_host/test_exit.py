"""The causes of an engine process's end; test_engine_client covers the ends of real processes."""

import signal

import pytest

from gpu_subscriber.engine import exit_codes
from gpu_subscriber.engine_host.exit import ENGINE_FAILURE_CODES, EngineEnd, EngineEndCause

SIGKILL = -signal.SIGKILL


@pytest.mark.parametrize(
    ("end", "cause", "code"),
    [
        (EngineEnd(exit_code=exit_codes.STOPPED), EngineEndCause.STOPPED, "engine_crashed"),
        (EngineEnd(exit_code=exit_codes.DEVICE_LOST), EngineEndCause.DEVICE_LOST, "device_lost"),
        (EngineEnd(exit_code=exit_codes.ENGINE_BROKEN), EngineEndCause.BROKEN, "engine_crashed"),
        (EngineEnd(exit_code=1), EngineEndCause.BROKEN, "engine_crashed"),
        (EngineEnd(exit_code=-signal.SIGSEGV), EngineEndCause.KILLED, "engine_crashed"),
        (EngineEnd(exit_code=SIGKILL), EngineEndCause.KILLED, "engine_crashed"),
        (EngineEnd(exit_code=SIGKILL, oom_killed=True), EngineEndCause.OUT_OF_MEMORY, "engine_out_of_memory"),
        (EngineEnd(exit_code=SIGKILL, hung=True), EngineEndCause.HUNG, "engine_hung"),
        (EngineEnd(exit_code=SIGKILL, forced=True), EngineEndCause.FORCED, "engine_crashed"),
        # It crashed by itself while the worker was about to kill it, or while a neighbour ran out
        # of memory.
        (EngineEnd(exit_code=-signal.SIGSEGV, hung=True), EngineEndCause.KILLED, "engine_crashed"),
        (EngineEnd(exit_code=-signal.SIGSEGV, oom_killed=True), EngineEndCause.KILLED, "engine_crashed"),
        (EngineEnd(exit_code=SIGKILL, hung=True, oom_killed=True), EngineEndCause.HUNG, "engine_hung"),
    ],
)
def test_each_end_has_its_cause_and_its_failure(end: EngineEnd, cause: EngineEndCause, code: str) -> None:
    assert (end.cause, end.failure.code) == (cause, code)
    assert end.failure.retryable
    assert end.failure.code in ENGINE_FAILURE_CODES


def test_the_owner_reads_which_signal_it_was() -> None:
    end = EngineEnd(exit_code=-signal.SIGSEGV)
    assert end.name == "SIGSEGV"
    assert "SIGSEGV" in end.failure.message
