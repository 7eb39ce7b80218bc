"""The stock pipeline and the engine, each in a process of its own, as the worker runs the engine."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from benchmarks.measurement import processor_seconds
from common.domain.models.spec import ModelSpec
from common.domain.parameters import GenerationParameters
from common.domain.task import Lane
from gpu_subscriber.engine.engine_settings import DtypeSetting, EngineSettings
from gpu_subscriber.engine.messages import EngineReady, FromEngine, ImageReady, RunFailed, Shutdown, Start
from gpu_subscriber.engine_host.process import EngineProcess

_ENTRY_POINT = "gpu_subscriber.engine.engine_process:run_engine"
_LOADING_SECONDS = 600.0
_SILENCE_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """The same images once: seconds by the wall clock, and processor seconds of all threads."""

    wall: float
    processor: float
    working: float = 0.0
    """Seconds in which the engine prepared, stepped or decoded."""


class StockProcess:
    """The stock pipeline, one image after the other."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self._line()  # ready

    @classmethod
    @contextmanager
    def of(cls, folder: Path) -> Iterator[Self]:
        """Start the process with the model in this folder."""
        argv = [sys.executable, "-m", "benchmarks.stock_pipeline", str(folder)]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            yield cls(process)
            assert process.stdin is not None
            process.stdin.close()

    def generate(self, requests: Sequence[GenerationParameters]) -> Round:
        """Generate the images one by one."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([one.model_dump(mode="json") for one in requests]) + "\n")
        self._process.stdin.flush()
        wall, processor = map(float, self._line().split())
        return Round(wall=wall, processor=processor)

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


class EngineUnderLoad:
    """An engine process with one model."""

    def __init__(self, spec: ModelSpec, *, dtype: DtypeSetting = "float32") -> None:
        settings = EngineSettings(models=(spec,), dtype=dtype, niceness=0, log_level="WARNING")
        self._process = EngineProcess.spawned(_ENTRY_POINT, settings)
        self._processor = psutil.Process(self._process.pid)
        self.ready = self._wait_for_ready()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.send(Shutdown())
        self._process.ended(within_seconds=_SILENCE_SECONDS)

    def start(self, run_id: str, parameters: GenerationParameters) -> None:
        """Send a Run."""
        self._process.send(
            Start(
                run_id=run_id,
                parameters=parameters,
                index=0,
                lane=Lane.INTERACTIVE,
                queued_at=time.time(),
            )
        )

    def receive_until(self, is_last: Callable[[FromEngine], bool]) -> None:
        """Receive messages until one fulfils the condition."""
        while True:
            message = self._process.receive(within_seconds=_SILENCE_SECONDS)
            if message is None or isinstance(message, RunFailed):
                raise RuntimeError(f"the engine sent {message}")
            if is_last(message):
                return

    def receive_pending(self, use: Callable[[FromEngine], object]) -> None:
        """Receive the messages that have arrived."""
        while (message := self._process.receive(within_seconds=0.0)) is not None:
            use(message)

    def generate(self, requests: Sequence[GenerationParameters]) -> Round:
        """Send all Runs at once, and wait for all images."""
        wall, processor = time.perf_counter(), processor_seconds(self._processor)
        for number, parameters in enumerate(requests):
            self.start(str(number), parameters)
        images: list[ImageReady] = []

        def is_last(message: FromEngine) -> bool:
            images.extend([message] if isinstance(message, ImageReady) else [])
            return len(images) == len(requests)

        self.receive_until(is_last)
        return Round(
            wall=time.perf_counter() - wall,
            processor=processor_seconds(self._processor) - processor,
            working=sum(image.gpu_seconds for image in images),
        )

    def _wait_for_ready(self) -> EngineReady:
        message = self._process.receive(within_seconds=_LOADING_SECONDS)
        while not isinstance(message, EngineReady):
            if message is None:
                raise RuntimeError("the engine did not become ready")
            message = self._process.receive(within_seconds=_LOADING_SECONDS)
        return message
