"""The causes of an engine process's end; test_engine_client covers the ends of real processes."""

import signal

import pytest

from gpu_subscriber.engine import exit_codes
from gpu_subscriber.engine_host.exit import ENGINE_FAILURE_CODES, EngineExit, EngineExitCause

SIGKILL = -signal.SIGKILL


@pytest.mark.parametrize(
    ("end", "cause", "code"),
    [
        (EngineExit(exit_code=exit_codes.STOPPED), EngineExitCause.STOPPED, "engine_crashed"),
        (EngineExit(exit_code=exit_codes.DEVICE_LOST), EngineExitCause.DEVICE_LOST, "device_lost"),
        (EngineExit(exit_code=exit_codes.GPU_UNUSABLE), EngineExitCause.GPU_UNUSABLE, "engine_crashed"),
        (EngineExit(exit_code=exit_codes.ENGINE_BROKEN), EngineExitCause.BROKEN, "engine_crashed"),
        (EngineExit(exit_code=1), EngineExitCause.BROKEN, "engine_crashed"),
        (EngineExit(exit_code=-signal.SIGSEGV), EngineExitCause.KILLED, "engine_crashed"),
        (EngineExit(exit_code=SIGKILL), EngineExitCause.KILLED, "engine_crashed"),
        (
            EngineExit(exit_code=SIGKILL, oom_killed=True),
            EngineExitCause.OUT_OF_MEMORY,
            "engine_out_of_memory",
        ),
        (EngineExit(exit_code=SIGKILL, hung=True), EngineExitCause.HUNG, "engine_hung"),
        (EngineExit(exit_code=SIGKILL, forced=True), EngineExitCause.FORCED, "engine_crashed"),
        # It crashed by itself while the worker was about to kill it, or while a neighbour ran out
        # of memory.
        (EngineExit(exit_code=-signal.SIGSEGV, hung=True), EngineExitCause.KILLED, "engine_crashed"),
        (EngineExit(exit_code=-signal.SIGSEGV, oom_killed=True), EngineExitCause.KILLED, "engine_crashed"),
        (EngineExit(exit_code=SIGKILL, hung=True, oom_killed=True), EngineExitCause.HUNG, "engine_hung"),
    ],
)
def test_each_exit_has_its_cause_and_failure(end: EngineExit, cause: EngineExitCause, code: str) -> None:
    assert (end.cause, end.failure.code) == (cause, code)
    assert end.failure.retryable
    assert end.failure.code in ENGINE_FAILURE_CODES


def test_failure_message_names_the_signal() -> None:
    end = EngineExit(exit_code=-signal.SIGSEGV)
    assert end.name == "SIGSEGV"
    assert "SIGSEGV" in end.failure.message
