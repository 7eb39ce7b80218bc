"""Passes of a denoiser that are replayed as CUDA graphs: one launch in place of thousands.

A graph repeats its kernels on the same memory, and holds none of the tensors that it reads. So
inputs are copied to the tensors of the capture, and the result is copied from there. The capture
holds every other tensor that its pass reads and does not make itself: weights, and tensors of
caches, such as the positions of tokens. The caches may evict them. A pass fills these caches before
the capture, because a capture computes nothing.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import TensorWeakRef

Forward = Callable[[torch.Tensor, torch.Tensor, dict[str, Any], tuple[int, int]], torch.Tensor]


class Graphs(Protocol):
    """Captures work of a device."""

    def capture(self, work: Callable[[], torch.Tensor]) -> tuple[Callable[[], None], torch.Tensor]:
        """Capture the work. Returns what replays it, and the tensor that each replay fills."""
        ...


class CudaGraphs:
    """CUDA graphs that share the memory of their intermediate results."""

    def __init__(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()

    def capture(self, work: Callable[[], torch.Tensor]) -> tuple[Callable[[], None], torch.Tensor]:
        warming, current = torch.cuda.Stream(), torch.cuda.current_stream()
        warming.wait_stream(current)
        with torch.cuda.stream(warming):  # libraries allocate and choose kernels at their first calls
            for _ in range(3):
                work()
        current.wait_stream(warming)
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            result = work()
        return graph.replay, result


@dataclass(frozen=True, slots=True, kw_only=True)
class _Captured:
    given: Mapping[str, torch.Tensor]
    read: tuple[torch.Tensor, ...]
    """Held for the graph."""
    replay: Callable[[], None]
    result: torch.Tensor


class GraphedPasses:
    """The captured passes by the shapes of their inputs. Other passes are computed as usual."""

    def __init__(self, graphs: Graphs) -> None:
        self._graphs = graphs
        self._captured: dict[object, _Captured] = {}
        self._is_capturing = False
        self._latest: list[object] = []

    def __len__(self) -> int:
        return len(self._captured)

    def drop_latest(self) -> None:
        """Drop the passes that the latest block captured."""
        for shape in self._latest:
            del self._captured[shape]
        self._latest = []

    @contextmanager
    def capturing(self) -> Iterator[None]:
        """Capture the passes of the block that can be captured."""
        self._is_capturing, self._latest = True, []
        try:
            yield
        finally:
            self._is_capturing = False

    def run(
        self,
        forward: Forward,
        latents: torch.Tensor,
        timesteps: torch.Tensor,
        rows: dict[str, Any],
        size: tuple[int, int],
    ) -> torch.Tensor:
        """Return the result of the pass."""
        given = {"": latents, "t": timesteps, **{f"row {name}": row for name, row in rows.items()}}
        tensors = {name: row for name, row in given.items() if row is not None}
        if not all(isinstance(tensor, torch.Tensor) for tensor in tensors.values()):
            return forward(latents, timesteps, rows, size)  # a control network, or a list of texts
        shape = (size, *((name, tensor.shape, tensor.dtype) for name, tensor in tensors.items()))
        captured = self._captured.get(shape)
        if captured is None:
            if not self._is_capturing:
                return forward(latents, timesteps, rows, size)
            captured = self._captured[shape] = self._capture(forward, tensors, rows, size)
            self._latest.append(shape)
        for name, tensor in tensors.items():
            captured.given[name].copy_(tensor)
        captured.replay()
        return captured.result.clone()

    def _capture(
        self,
        forward: Forward,
        tensors: Mapping[str, torch.Tensor],
        rows: dict[str, Any],
        size: tuple[int, int],
    ) -> _Captured:
        own = {name: tensor.clone() for name, tensor in tensors.items()}
        own_rows = {name: own.get(f"row {name}") for name in rows}

        def work() -> torch.Tensor:
            return forward(own[""], own["t"], own_rows, size)

        read = _tensors_that_outlive(work)
        replay, result = self._graphs.capture(work)
        return _Captured(given=own, read=read, replay=replay, result=result)


def _tensors_that_outlive(work: Callable[[], torch.Tensor]) -> tuple[torch.Tensor, ...]:
    """Do the work once. Return the tensors of its operations that something holds afterwards."""
    with _Operands() as operands:  # under which torch runs no compiled code: its operations are hidden
        work()
    alive = (operand() for operand in operands.seen)
    return tuple({id(tensor): tensor for tensor in alive if tensor is not None}.values())


class _Operands(TorchDispatchMode):
    """Records what operations read and return, without holding it."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[TensorWeakRef] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        operands = tree_leaves((args, kwargs, result))
        self.seen += [TensorWeakRef(each) for each in operands if isinstance(each, torch.Tensor)]
        return result
