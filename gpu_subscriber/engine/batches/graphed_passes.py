"""Passes of a denoiser that are replayed as CUDA graphs: one launch in place of thousands.

A graph repeats its kernels on the same memory. So inputs are copied to the tensors of the capture,
and the result is copied from there.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import torch

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
        replay, result = self._graphs.capture(lambda: forward(own[""], own["t"], own_rows, size))
        return _Captured(given=own, replay=replay, result=result)
