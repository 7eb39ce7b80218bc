"""The measurements of one model: stock pipeline, engine, idle share, admission.

One pipeline is loaded at a time, so that peaks of memory are its own.
"""

import gc
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from diffusers import DiffusionPipeline

from benchmarks import stock_pipeline
from benchmarks.gpu.budget import Budget
from benchmarks.gpu.cases import FP8, PLAIN, Case, Kind
from benchmarks.gpu.device_figures import counted_flops, idle_share, matrix_flops, median, peak_bytes
from benchmarks.gpu.report import Figures
from benchmarks.measured_engine import MeasuredEngine, start_of
from benchmarks.measurement import spread_of
from common.domain.models.spec import ModelSpec
from common.domain.parameters import GenerationParameters
from gpu_subscriber.engine.batches.batch_caps import BatchCaps
from gpu_subscriber.engine.batches.batch_planning import BatchKey
from gpu_subscriber.engine.devices import Device
from gpu_subscriber.engine.engine_settings import EngineSettings
from gpu_subscriber.engine.messages import EngineMeasured, FromEngine, ImageReady, Interrupt, StepDone
from gpu_subscriber.engine.models.quantization import unavailable
from gpu_subscriber.engine.tuning.compilation import missing_for_compiling
from gpu_subscriber.engine.tuning.warm_up import default_parameters

ROUNDS = 3
COMPILE_SECONDS = 90.0
"""Assumed for the compilation of all batch sizes of a model, to decide whether it fits the time that is left."""
_JOINS = 8
"""How many images join a running batch, one after another."""
_STEPS_BETWEEN_JOINS = 3
_MATRIX_SIDES = {"cuda": 8192, "cpu": 512}


class NotMeasurableError(Exception):
    """This case cannot be measured here. The text is the reason."""


@dataclass(slots=True, kw_only=True)
class Measurements:
    """Measures the cases of one model, in the order of `planned`."""

    spec: ModelSpec
    device: Device
    budget: Budget
    steps: int
    max_batch: int
    cpu_threads: int | None = None
    rate: float | None = None
    """The measured matrix rate, operations per second."""
    _stock: Any = None
    _engine: MeasuredEngine | None = None
    _engine_variant: str = ""
    _image_flops: dict[int, float] = field(default_factory=dict)
    _stock_seconds: dict[int, float] = field(default_factory=dict)
    _seeds: itertools.count = field(default_factory=itertools.count)

    def of(self, case: Case) -> Figures:
        """Measure a case. Raises NotMeasurableError, and any error of torch."""
        if case.kind is Kind.MATRIX_RATE:
            return self._matrix_rate()
        if case.kind is Kind.STOCK:
            return self._stock_alone(case)
        if problem := _unavailable(case.variant, self.device):
            raise NotMeasurableError(problem)
        self._require_time(case)
        engine = self._engine_of(case.variant)
        if case.kind is Kind.ENGINE:
            return self._engine_under_backlog(engine, case)
        if case.kind is Kind.IDLE:
            return self._idle_share(engine, case)
        return self._admission(engine, case)

    def release(self) -> None:
        """Free the loaded pipeline."""
        self._stock = self._engine = None
        gc.collect()
        self.device.free_memory()

    def _matrix_rate(self) -> Figures:
        found = matrix_flops(self.device, side=_MATRIX_SIDES[self.device.torch_device.type])
        self.rate = found.median
        return {"matrix_flops": found}

    def _stock_alone(self, case: Case) -> Figures:
        if self._stock is None:
            self._stock = DiffusionPipeline.from_pretrained(
                self.spec.source, dtype=self.device.dtype, use_safetensors=True
            ).to(self.device.torch_device)
            self._stock.set_progress_bar_config(disable=True)
        self._image_flops[case.side] = self._counted(case.side)

        def generate() -> None:
            stock_pipeline.generate(self._stock, self._request(case.side))

        rounds = self._rounds(generate)
        self._stock_seconds[case.side] = spread_of(rounds).median
        return self._throughput(case, rounds, peak=peak_bytes(self.device, generate))

    def _counted(self, side: int) -> float:
        """Return the operations of an image, from images of one and of two steps."""
        one, two = (
            counted_flops(lambda: stock_pipeline.generate(self._stock, self._request(side, steps=steps)))  # noqa: B023 - called at once
            for steps in (1, 2)
        )
        return one + (self.steps - 1) * (two - one)

    def _engine_of(self, variant: str) -> MeasuredEngine:
        if self._engine is None or self._engine_variant != variant:
            self.release()
            settings = EngineSettings(
                models=(_quantized(self.spec) if variant == FP8 else self.spec,),
                device="cuda" if self.device.is_cuda else "cpu",
                compile_denoiser=variant != PLAIN,
                max_batch=self.max_batch,
                cpu_threads=self.cpu_threads,
            )
            self._engine, self._engine_variant = MeasuredEngine.loaded(settings), variant
        return self._engine

    def _engine_under_backlog(self, engine: MeasuredEngine, case: Case) -> Figures:
        images = 2 * case.batch
        caps = self._caps(engine, case)
        sent: list[FromEngine] = []

        def generate() -> None:
            requests = [self._request(case.side) for _ in range(images)]
            sent.extend(engine.generate(requests, caps=caps))

        warm_up = [self._request(case.side, steps=2) for _ in range(case.batch)]
        engine.generate(warm_up, caps=caps)
        rounds: list[float] = []
        peak = peak_bytes(self.device, lambda: rounds.extend(self._rounds(generate)))
        figures = self._throughput(case, [seconds / images for seconds in rounds], peak=peak)
        taken = [step for message in sent if isinstance(message, EngineMeasured) for step in message.steps]
        expected = self.steps * images * len(rounds)
        if sum(step.batch for step in taken) != expected:
            raise NotMeasurableError("an image was generated again, because its pixels were invalid")
        times = [message.times for message in sent if isinstance(message, ImageReady) and message.times]
        outside = (sum(rounds) - sum(step.seconds for step in taken)) / (images * len(rounds))
        decoding = median(each.decoding_seconds for each in times)
        preparing = median(each.preparing_seconds for each in times)
        step_seconds = median(step.seconds for step in taken if step.batch == case.batch)
        assert decoding is not None
        assert preparing is not None
        assert step_seconds is not None
        return {
            **figures,
            "step_seconds": step_seconds,
            "outside_steps_seconds": outside,
            "preparing_seconds": preparing,
            "decoding_seconds": decoding,
            "hidden_decoding_share": min(1.0, max(0.0, 1 - (outside - preparing) / decoding)),
        }

    def _idle_share(self, engine: MeasuredEngine, case: Case) -> Figures:
        caps = self._caps(engine, case)
        requests = [self._request(case.side, steps=min(self.steps, 10)) for _ in range(2 * case.batch)]
        return {"idle_share": idle_share(self.device, lambda: engine.generate(requests, caps=caps))}

    def _admission(self, engine: MeasuredEngine, case: Case) -> Figures:
        """Let images join a batch with one free slot, and remove each after its first step."""
        sent: list[FromEngine] = []
        running = engine.new_engine(sent.append, caps=self._caps(engine, case))
        steps = self.spec.limits.max_steps
        for _ in range(case.batch - 1):
            running.receive(start_of(self._request(case.side, steps=steps)))
        seconds, step_seconds = [], []
        for _ in range(_JOINS):
            self.device.synchronize()
            began = time.perf_counter()
            for _ in range(_STEPS_BETWEEN_JOINS):
                running.advance()
            self.device.synchronize()
            step_seconds.append((time.perf_counter() - began) / _STEPS_BETWEEN_JOINS)
            running.advance()  # the CPU may be ahead of the device, as usual, when an image arrives
            joining = start_of(self._request(case.side, steps=steps))
            began = time.perf_counter()
            running.receive(joining)
            sent.clear()
            while not any(isinstance(each, StepDone) and each.run_id == joining.run_id for each in sent):
                running.advance()
            self.device.synchronize()
            seconds.append(time.perf_counter() - began)
            running.receive(Interrupt(run_id=joining.run_id))
        usual = spread_of(step_seconds[1:]).median
        waited = [each / usual for each in seconds]
        running.interrupt_all(want_checkpoints=False)
        return {"joining_seconds": spread_of(seconds), "joining_steps": spread_of(waited)}

    def _throughput(self, case: Case, rounds: list[float], *, peak: int) -> Figures:
        seconds = spread_of(rounds)
        figures: Figures = {"image_seconds": seconds, "peak_bytes": peak}
        if flops := self._image_flops.get(case.side):
            figures["image_flops"] = flops
            if self.rate:
                figures["utilisation_share"] = flops / seconds.median / self.rate
        if stock := self._stock_seconds.get(case.side):
            figures["stock_ratio"] = stock / seconds.median
        return figures

    def _rounds(self, work: Callable[[], object]) -> list[float]:
        """Return the seconds of each round; fewer than usual when the time is nearly spent."""
        found: list[float] = []
        while len(found) < ROUNDS and (not found or self.budget.fits(found[-1])):
            self.device.synchronize()
            began = time.perf_counter()
            work()
            self.device.synchronize()
            found.append(time.perf_counter() - began)
        return found

    def _require_time(self, case: Case) -> None:
        """Raise unless a round and its warm-up fit the time that is left."""
        stock = self._stock_seconds.get(case.side, 0.0)
        is_compiled_first = case.variant not in (PLAIN, self._engine_variant)
        needed = 2.5 * case.batch * stock + (COMPILE_SECONDS if is_compiled_first else 0.0)
        if not self.budget.fits(needed):
            raise NotMeasurableError(f"it needs about {needed:.0f} s, and {self.budget.left:.0f} s were left")

    def _caps(self, engine: MeasuredEngine, case: Case) -> BatchCaps:
        """Return caps with the case's batch, and with the measured batch of decodings."""
        caps = BatchCaps(max_batch=case.batch, memory=self.device.memory)
        key = BatchKey.of(default_parameters(self.spec))
        caps.learn_decoding(key, engine.caps.decoding_batch_of(key))
        return caps

    def _request(self, side: int, *, steps: int | None = None) -> GenerationParameters:
        """Return an image with a prompt of its own, so that each prompt is encoded."""
        seed = next(self._seeds)
        plain = self.spec.defaulted(prompt=f"picture number {seed}", seed=seed)
        return plain.model_copy(update={"width": side, "height": side, "steps": steps or self.steps})


def _unavailable(variant: str, device: Device) -> str | None:
    """Return why the engine cannot run in this way here; None if it can."""
    if variant == PLAIN:
        return None
    if not device.is_cuda:
        return "the engine compiles on a GPU only"
    missing = missing_for_compiling()
    if missing:
        return f"torch.compile needs {missing}"
    missing = unavailable("fp8") if variant == FP8 else None
    return f"FP8 needs {missing}" if missing else None


def _quantized(spec: ModelSpec) -> ModelSpec:
    """Return the same model in FP8. Its quality is not checked, because its weights are random."""
    return spec.model_copy(update={"quantization": "fp8"})


def torch_versions() -> dict[str, str]:
    """Return the versions of torch and CUDA."""
    return {"torch": torch.__version__, "cuda": torch.version.cuda or "none"}
