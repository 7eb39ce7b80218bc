"""Queues of a device beside the one of the steps: prompts are encoded and images decoded meanwhile.

Streams wait for each other by events; the CPU never waits. A tensor that another stream uses is
recorded there, because the allocator reuses memory in the order of the stream that allocated it.
"""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch


class SideStream:
    """A device without queues: each call returns with its work done, in the order of the calls."""

    def working(self, *given: torch.Tensor) -> AbstractContextManager[None]:
        """Queue the work of the block beside the steps.

        With tensors of the steps, which it reads, the work begins after the steps so far.
        """
        return nullcontext()

    def hand_over(self, tensors: Iterable[torch.Tensor]) -> None:
        """Let later steps use tensors of this stream: they begin after its work so far."""

    def join(self) -> None:
        """Let later work of both queues begin after the earlier work of both."""


class CudaSideStream(SideStream):
    """A CUDA stream beside the current one."""

    def __init__(self) -> None:
        self._stream = torch.cuda.Stream()

    @contextmanager
    def working(self, *given: torch.Tensor) -> Iterator[None]:
        if given:
            self._stream.wait_stream(torch.cuda.current_stream())
        for tensor in given:
            tensor.record_stream(self._stream)
        with torch.cuda.stream(self._stream):
            yield

    def hand_over(self, tensors: Iterable[torch.Tensor]) -> None:
        steps = torch.cuda.current_stream()
        steps.wait_stream(self._stream)
        for tensor in tensors:
            tensor.record_stream(steps)

    def join(self) -> None:
        steps = torch.cuda.current_stream()
        steps.wait_stream(self._stream)
        self._stream.wait_stream(steps)
