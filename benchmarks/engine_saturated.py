"""The engine under a backlog, and with no load: throughput, busy share, latency and joining.

    python -m benchmarks engine_saturated --parts equal

The stock pipeline and the engine alternate in one run, so that load on the machine affects both.
"""

import random
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks.measured_engine import measured_model
from benchmarks.measurement import percentile, ratios, spread_of
from benchmarks.other_processes import EngineUnderLoad, Round, StockProcess
from benchmarks.parts import PARTS
from benchmarks.prompts import PROMPTS
from common.domain.models.spec import ModelSpec
from common.domain.parameters import GenerationParameters, Sampler
from gpu_subscriber.engine.messages import FromEngine, StepDone
from gpu_subscriber.engine.models.loading import model_folder
from gpu_subscriber.engine.tuning.precision import has_bfloat16_instructions

ROUNDS = 5
TASKS = 16
JOINS = 100
ALONE = 10
"""Images per round that are generated one at a time, at no load."""
_SAMPLERS = (
    Sampler.DDIM,
    Sampler.EULER,
    Sampler.EULER_ANCESTRAL,
    Sampler.DPMPP_2M,
    Sampler.DPMPP_2M_KARRAS,
    Sampler.UNIPC,
    Sampler.PNDM,
)
_STEPS = (10, 14, 18, 22, 26, 30)
_GUIDANCE = (3.0, 5.0, 7.5)
_WIDTHS = (192, 256, 320)
_LONGEST_PAUSE_SECONDS = 0.05
_BACKGROUND_STEPS = 100


def run(
    *,
    parts: Sequence[str] = PARTS["engine_saturated"],
    rounds: int = ROUNDS,
    tasks: int = TASKS,
    joins: int = JOINS,
    alone: int = ALONE,
) -> Iterator[str]:
    formats = ("float32", "bfloat16") if has_bfloat16_instructions() else ("float32",)
    with ExitStack() as stack:
        spec = measured_model(Path(stack.enter_context(tempfile.TemporaryDirectory())))
        folder = model_folder(spec.source) if spec.is_embedded else Path(spec.source)
        stock = stack.enter_context(StockProcess.of(folder))
        engines = {
            dtype: stack.enter_context(EngineUnderLoad(spec, dtype=dtype))  # type: ignore[arg-type]
            for dtype in formats
        }
        caps = ", ".join(f"{engine.ready.slots} in {dtype}" for dtype, engine in engines.items())
        yield f"{tasks} waiting tasks; measured batch caps: {caps}"
        for part, (name, requests) in _loads(spec, tasks).items():
            if part in parts:
                yield from _throughput(name, stock, engines, requests, rounds)
        _, few = _loads(spec, alone)["equal"]
        for dtype, engine in engines.items():
            if "latency" in parts:
                yield _latency(dtype, stock, engine, few, rounds)
            if "joining" in parts:
                yield _joining(dtype, engine, few[0], joins)


def _loads(spec: ModelSpec, tasks: int) -> dict[str, tuple[str, list[GenerationParameters]]]:
    """Return the images under a backlog and their name, by part."""
    equal = [spec.defaulted(prompt=PROMPTS[number % len(PROMPTS)], seed=number) for number in range(tasks)]
    mixed = [
        one.model_copy(
            update={
                "steps": _STEPS[number % len(_STEPS)],
                "sampler": _SAMPLERS[number % len(_SAMPLERS)],
                "guidance_scale": _GUIDANCE[number % len(_GUIDANCE)],
            }
        )
        for number, one in enumerate(equal)
    ]
    widths = [
        one.model_copy(update={"width": _WIDTHS[number % len(_WIDTHS)]}) for number, one in enumerate(equal)
    ]
    return {
        "equal": ("equal tasks", equal),
        "mixed": ("mixed steps, samplers, guidance", mixed),
        "widths": ("mixed widths", widths),
    }


def _throughput(
    name: str,
    stock: StockProcess,
    engines: Mapping[str, EngineUnderLoad],
    requests: Sequence[GenerationParameters],
    rounds: int,
) -> Iterator[str]:
    reference: list[Round] = []
    found: dict[str, list[Round]] = {dtype: [] for dtype in engines}
    for engine in engines.values():
        engine.generate(requests)  # warms up
    stock.generate(requests)
    before = stock.generate(requests)
    for _ in range(rounds):
        # The reference runs before and after: a machine that slows down midway slows both.
        done = {dtype: engine.generate(requests) for dtype, engine in engines.items()}
        after = stock.generate(requests)
        reference.append(
            Round(
                wall=(before.wall + after.wall) / 2,
                processor=(before.processor + after.processor) / 2,
            )
        )
        before = after
        for dtype, one in done.items():
            found[dtype].append(one)
    per_image = spread_of([one.wall / len(requests) for one in reference])
    yield f"{name}: stock one by one {per_image.format(' s per image', 3)}"
    for dtype, each in found.items():
        wall = ratios([one.wall for one in reference], [one.wall for one in each])
        processor = ratios([one.processor for one in reference], [one.processor for one in each])
        busy = spread_of([100 * one.working / one.wall for one in each])
        yield f"  {dtype:<9} {wall.format(' times as fast')}"
        yield f"  {'':<9} {processor.format(' by processor time')}; busy {busy.format(' %', 1)}"


def _latency(
    dtype: str,
    stock: StockProcess,
    engine: EngineUnderLoad,
    requests: Sequence[GenerationParameters],
    rounds: int,
) -> str:
    """Compare images that are requested one at a time."""
    shares = []
    for _ in range(rounds):
        pairs = [(engine.generate([one]).wall, stock.generate([one]).wall) for one in requests]
        ours, theirs = (statistics.mean(column) for column in zip(*pairs, strict=True))
        shares.append(ours / theirs)
    return f"no load, {dtype}: mean latency {spread_of(shares).format(' of the stock time')}"


class _Background:
    """A long image in the engine, whose steps are counted; replaced before it ends."""

    def __init__(self, engine: EngineUnderLoad, request: GenerationParameters) -> None:
        self._engine = engine
        self._request = request.model_copy(update={"steps": _BACKGROUND_STEPS})
        self._number = self._left = 0
        self.steps = 0

    def keep_running(self) -> None:
        """Start another image if few steps are left, and wait for a step."""
        if self._left < _BACKGROUND_STEPS // 4:
            self._number += 1
            self._left = _BACKGROUND_STEPS
            self._engine.start(self._run_id, self._request)
        self._engine.receive_until(self.count)

    def count(self, message: FromEngine) -> bool:
        """Count a step of this image; return whether the message is one."""
        is_step = isinstance(message, StepDone) and message.run_id == self._run_id
        self.steps += is_step
        self._left -= is_step
        return is_step

    @property
    def _run_id(self) -> str:
        return f"background-{self._number}"


def _joining(dtype: str, engine: EngineUnderLoad, request: GenerationParameters, joins: int) -> str:
    """Count the steps of a running image from the start of another one to the latter's first step."""
    rng = random.Random(0)
    short = request.model_copy(update={"steps": 4})
    background = _Background(engine, request)
    waited: list[int] = []
    for number in range(joins):
        background.keep_running()
        time.sleep(rng.uniform(0, _LONGEST_PAUSE_SECONDS))
        engine.receive_pending(background.count)
        before, run_id = background.steps, f"joining-{number}"
        engine.start(run_id, short)

        def is_first_step(message: FromEngine, run_id: str = run_id) -> bool:
            background.count(message)
            return isinstance(message, StepDone) and message.run_id == run_id

        engine.receive_until(is_first_step)
        waited.append(background.steps - before)
    return (
        f"joining, {dtype}: the first step ends after {statistics.median(waited):g} steps at the median, "
        f"{percentile(waited, 99):g} at p99 (n={len(waited)})"
    )
