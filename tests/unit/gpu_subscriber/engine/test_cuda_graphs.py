"""Steps that are replayed as graphs, on graphs that compute again what they captured."""

import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_leaves

from gpu_subscriber.engine.batches.graphed_passes import GraphedPasses
from gpu_subscriber.engine.devices import Device
from gpu_subscriber.engine.tuning.cuda_graphs import choose_cuda_graphs
from tests.unit.gpu_subscriber.engine.conftest import RecordingFamily
from tests.unit.gpu_subscriber.engine.driven_engine import CPU, DrivenEngine, drawing


class _Memory(TorchDispatchMode):
    """Records the memory that operations read, without holding it."""

    def __init__(self) -> None:
        super().__init__()
        self._read: list[StorageWeakRef] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        named = kwargs or {}
        tensors = [each for each in tree_leaves((args, named)) if isinstance(each, torch.Tensor)]
        self._read += [StorageWeakRef(tensor.untyped_storage()) for tensor in tensors]
        return func(*args, **named)

    def forget_intermediate(self) -> None:
        """Leave out what was freed until now."""
        self._read = [storage for storage in self._read if not storage.expired()]

    @property
    def is_freed(self) -> bool:
        return any(storage.expired() for storage in self._read)


class RepeatedWork:
    """Implements Graphs. Each replay writes into the tensor of the capture.

    As on a GPU, a graph does not hold what it reads. Here a replay that reads freed memory fails.
    """

    def __init__(self, *, fails_at: int = 1_000) -> None:
        self.captures = self.replays = 0
        self._fails_at = fails_at

    def capture(self, work: Callable[[], torch.Tensor]) -> tuple[Callable[[], None], torch.Tensor]:
        self.captures += 1
        if self.captures == self._fails_at:
            raise RuntimeError("operation not permitted when stream is capturing")
        with _Memory() as memory:
            result = work()
        memory.forget_intermediate()

        def replay() -> None:
            assert not memory.is_freed, "the graph reads freed memory"
            self.replays += 1
            result.copy_(work())

        return replay, result


@torch.inference_mode()
def choose(family: RecordingFamily, graphs: RepeatedWork, *, fast: int, largest: int = 8) -> None:
    """Choose graphs on a device where replayed batches of at most `fast` Runs are faster."""

    def timed(device: Device, work: Callable[[], object]) -> list[float]:
        work()
        return [0.5 if family.passes is not None and family.batches[-1] <= fast else 1.0]

    choose_cuda_graphs(family, drawing(), CPU, graphs, largest=largest, timed=timed)
    family.clear()
    graphs.replays = 0


def test_batches_are_captured_as_long_as_they_are_faster(family: RecordingFamily) -> None:
    graphs = RepeatedWork()
    choose(family, graphs, fast=2)
    assert graphs.captures == 3, "a batch of three is not faster"
    assert family.passes is not None
    assert len(family.passes) == 2


def test_replayed_steps_generate_the_same_images(stock: Any, family: RecordingFamily) -> None:
    graphs = RepeatedWork()
    choose(family, graphs, fast=4)
    replayed, plain = DrivenEngine(family), DrivenEngine(RecordingFamily(stock))
    for driven in (replayed, plain):
        driven.draw("alone", drawing(prompt="a dog", steps=3))
        driven.start_runs(2, steps=3)
        driven.run_to_end()
    assert graphs.replays == 6
    for run_id in ("alone", "0", "1"):
        assert np.array_equal(replayed.picture(run_id), plain.picture(run_id))


@pytest.mark.parametrize("changes", [{"width": 64}, {"guidance_scale": 1.0}])
def test_other_passes_are_computed_as_usual(family: RecordingFamily, changes: dict[str, Any]) -> None:
    graphs = RepeatedWork()
    choose(family, graphs, fast=4)
    captures = graphs.captures
    driven = DrivenEngine(family)
    driven.draw("other", drawing(**changes))
    assert driven.drawn_runs == ["other"]
    assert (graphs.replays, graphs.captures) == (0, captures)


def test_model_without_a_faster_batch_has_no_graphs(family: RecordingFamily) -> None:
    choose(family, RepeatedWork(), fast=0)
    assert family.passes is None


def test_error_of_a_capture_leaves_the_model_without_graphs(family: RecordingFamily) -> None:
    choose(family, RepeatedWork(fails_at=2), fast=8)
    assert family.passes is None
    driven = DrivenEngine(family)
    driven.draw("run")
    assert driven.drawn_runs == ["run"]


@torch.inference_mode()
def test_capture_holds_what_compiled_code_reads() -> None:
    def generated(graph: Callable[..., Any], _example: Any) -> Callable[..., Any]:
        def kernel(*given: Any) -> Any:
            with _disable_current_modes():  # generated code calls no operations of torch
                return graph(*given)

        return kernel

    scales = [torch.full((1,), 2.0)]
    scaled = torch.compile(lambda given: given * scales[0], backend=generated)
    passes, latents = GraphedPasses(RepeatedWork()), torch.ones(1)
    scaled(latents)

    def run() -> float:
        return passes.run(lambda given, *_: scaled(given), latents, latents, {}, (8, 8)).item()

    with passes.capturing():
        assert run() == 2.0
    held = weakref.ref(scales.pop())
    assert held() is not None


def test_graphs_are_dropped_with_the_model(family: RecordingFamily) -> None:
    choose(family, RepeatedWork(), fast=4)
    family.release()
    assert family.passes is None


@torch.inference_mode()
def test_pass_with_other_inputs_than_tensors_is_not_captured() -> None:
    graphs = RepeatedWork()
    passes = GraphedPasses(graphs)
    latents, times = torch.ones(1, 2), torch.ones(1)
    with passes.capturing():
        for texts in (["a list"], "a name"):
            result = passes.run(lambda given, *_: given * 2, latents, times, {"texts": texts}, (8, 8))
            assert torch.equal(result, latents * 2)
    assert graphs.captures == 0
