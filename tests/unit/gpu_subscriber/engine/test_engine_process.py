"""The engine as its own process, over a real pipe. It imports torch, so few tests share one child."""

import multiprocessing
import os
import pickle
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.domain.task import Lane
from gpu_subscriber.engine import exit_codes
from gpu_subscriber.engine.engine_process import run_engine
from gpu_subscriber.engine.engine_settings import EngineSettings
from gpu_subscriber.engine.messages import (
    EngineReady,
    FromEngine,
    ImageReady,
    Interrupt,
    RunFailed,
    RunInterrupted,
    Shutdown,
    Start,
    StepDone,
)
from tests.unit.gpu_subscriber.engine.driven_engine import drawing, spec
from tests.unit.gpu_subscriber.engine.stock_oracle import stock_picture

START_SECONDS = 120


class Child:
    """A spawned engine and the parent's end of its pipe."""

    def __init__(self, settings: EngineSettings) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=run_engine, args=(theirs, settings), daemon=True)
        self.process.start()
        theirs.close()

    def next(self, *kinds: type) -> Any:
        """Return the next message of one of these kinds."""
        while self.pipe.poll(START_SECONDS):
            message: FromEngine = self.pipe.recv()
            if isinstance(message, kinds):
                return message
        raise AssertionError(f"none of {kinds} came")

    def end(self) -> int | None:
        self.process.join(START_SECONDS)
        return self.process.exitcode


def settings_for(folder: Path, **changes: Any) -> EngineSettings:
    fields: dict[str, Any] = {
        "models": (spec(source=str(folder)),),
        "device": "cpu",
        "cpu_threads": 1,
        "niceness": 0,
        "max_batch": 4,
        "measure_at_start": False,
        "log_level": "ERROR",
        **changes,
    }
    return EngineSettings(**fields)


def start(run_id: str, **changes: Any) -> Start:
    return Start(run_id=run_id, parameters=drawing(**changes), index=0, lane=Lane.INTERACTIVE, queued_at=0.0)


@pytest.fixture(scope="module")
def child(stable_diffusion_folder: Path) -> Iterator[Child]:
    child = Child(settings_for(stable_diffusion_folder))
    ready = child.next(EngineReady)
    assert (ready.models, ready.device, ready.dtype, ready.slots) == (("tiny",), "cpu", "float32", 4)
    assert set(ready.versions) == {"torch", "diffusers", "transformers"}
    yield child
    child.pipe.send(Shutdown())
    assert child.end() == exit_codes.STOPPED


def test_started_run_returns_the_stock_pipelines_image(child: Child, stock: Any) -> None:
    child.pipe.send(start("run"))
    image = child.next(ImageReady, RunFailed)
    pixels = np.frombuffer(image.pixels, np.uint8).reshape(image.height, image.width, 3)
    # Another process may use another number of threads, and so another order of summation.
    assert np.abs(pixels.astype(int) - stock_picture(stock, drawing()).pixels.astype(int)).max() <= 1


def test_interrupt_is_handled_between_steps(child: Child) -> None:
    child.pipe.send(start("long", steps=1000, width=512, height=512))
    first = child.next(StepDone)
    child.pipe.send(Interrupt(run_id="long", want_checkpoint=True))
    stopped = child.next(RunInterrupted, ImageReady)
    assert first.step <= stopped.step < 1000
    assert stopped.checkpoint


def test_engine_ignores_signals_to_the_group(child: Child) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(child.process.pid or 0, number)
    child.pipe.send(start("afterwards"))
    assert child.next(ImageReady, RunFailed).run_id == "afterwards"


def test_shutdown_returns_checkpoints_and_exits(stable_diffusion_folder: Path) -> None:
    child = Child(settings_for(stable_diffusion_folder))
    child.pipe.send(start("long", steps=1000, width=512, height=512))
    child.next(StepDone)
    child.pipe.send(Shutdown(want_checkpoints=True))
    assert child.next(RunInterrupted).checkpoint
    assert child.end() == exit_codes.STOPPED


def test_engine_exits_when_its_parent_is_killed(stable_diffusion_folder: Path) -> None:
    """A parent killed with SIGKILL sends nothing; the end of the pipe signals it."""
    program = """
import multiprocessing, pickle, sys
from gpu_subscriber.engine.engine_process import run_engine
from gpu_subscriber.engine.messages import EngineReady
if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    pipe, theirs = context.Pipe()
    settings = pickle.loads(bytes.fromhex(sys.argv[1]))
    process = context.Process(target=run_engine, args=(theirs, settings))
    process.start()
    theirs.close()
    assert isinstance(pipe.recv(), EngineReady)
    print(process.pid, flush=True)
    process.join()
"""
    script = stable_diffusion_folder.parent / "parent.py"
    script.write_text(program)
    settings = pickle.dumps(settings_for(stable_diffusion_folder)).hex()
    root = Path(__file__).parents[4]
    parent = subprocess.Popen(
        [sys.executable, str(script), settings],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert parent.stdout is not None
    engine = int(parent.stdout.readline())
    watch = os.pidfd_open(engine)
    parent.kill()
    parent.wait()
    ended, _, _ = select.select([watch], [], [], 30)
    os.close(watch)
    assert ended
    parent.stdout.close()


def test_parents_modules_import_no_torch() -> None:
    """The parent renews leases from threads; importing torch would block them for a second."""
    code = (
        "import sys; import gpu_subscriber.engine.engine_process, gpu_subscriber.engine.messages, "
        "gpu_subscriber.engine.engine_settings, gpu_subscriber.engine.exit_codes; "
        "sys.exit('torch' in sys.modules)"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[4], check=False).returncode
        == 0
    )
