"""Shared parts of the training stages: seeding, learning rate schedule, averaged weights, resuming."""

import copy
import logging
import math
import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

Part = TypeVar("Part")

logger = logging.getLogger("darkroom.demo_model.training")


def seed_everything(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def learning_rate_factor(step: int, steps: int, warmup_steps: int = 200) -> float:
    """Linear warm-up, constant, then cosine decay over the last 40 % of the steps."""
    rise = min(1.0, (step + 1) / warmup_steps)
    remaining = (steps - step) / (0.4 * steps)
    return rise * (1.0 if remaining >= 1 else 0.5 - 0.5 * math.cos(math.pi * remaining))


class AveragedWeights:
    """Exponential moving average of parameters, with a shorter memory in the first steps."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self._decay = decay
        self._updates = 0
        self.network: Any = copy.deepcopy(network).requires_grad_(False)

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        self._updates += 1
        decay = min(self._decay, (1 + self._updates) / (10 + self._updates))
        ours: list[Tensor] = list(self.network.parameters())
        theirs: list[Tensor] = list(network.parameters())
        torch._foreach_lerp_(ours, theirs, 1 - decay)

    def state_dict(self) -> dict[str, Any]:
        return {"updates": self._updates, "network": self.network.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._updates = state["updates"]
        self.network.load_state_dict(state["network"])


class Resumable:
    """Named objects with a state_dict, stored together in one file, so that a stage can be resumed."""

    def __init__(self, path: Path, **parts: Any) -> None:
        self._path, self._parts = path, parts

    def load(self) -> int:
        """Load the file and return the number of finished steps; 0 if there is no file."""
        if not self._path.exists():
            return 0
        state = torch.load(self._path, map_location="cpu", weights_only=True)
        for name, part in self._parts.items():
            part.load_state_dict(state[name])
        logger.info("resumed %s at step %d", self._path.name, state["step"])
        return int(state["step"])

    def save(self, step: int) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        partial = self._path.with_suffix(".partial")
        torch.save({"step": step, **{name: part.state_dict() for name, part in self._parts.items()}}, partial)
        partial.replace(self._path)


class Cores:
    """Computes gradients with one part of the batch per CPU core, or the whole batch on the GPU.

    At these small sizes that is faster than all cores on one operation. It is far faster on a busy
    machine, where each of thousands of operations per step would wait for the slowest core.
    """

    count = 1

    @classmethod
    def use(cls, count: int) -> None:
        """Run all other code on one thread, for the same reason."""
        cls.count = count
        torch.set_num_threads(1)

    def __init__(self, device: str) -> None:
        self.parts = Cores.count if device == "cpu" else 1
        self._workers = ThreadPoolExecutor(self.parts, initializer=torch.set_num_threads, initargs=(1,))

    def map(self, work: Callable[[Part], Tensor], parts: Iterable[Part]) -> list[Tensor]:
        return list(self._workers.map(work, parts))

    def backward(
        self, loss_of: Callable[[Part], Tensor], parts: Sequence[Part], parameters: Sequence[nn.Parameter]
    ) -> float:
        """Store the mean gradient of all parts in `parameters` and return the mean loss."""

        def gradients(part: Part) -> tuple[float, tuple[Tensor | None, ...]]:
            loss = loss_of(part)
            return loss.item(), torch.autograd.grad(loss, parameters, allow_unused=True)

        done = list(self._workers.map(gradients, parts))
        for parameter, *found in zip(parameters, *(each for _, each in done), strict=True):
            present = [gradient for gradient in found if gradient is not None]
            parameter.grad = torch.stack(present).sum(0) / len(parts) if present else None
        return sum(loss for loss, _ in done) / len(done)


def logged_steps(stage: str, first: int, steps: int, losses: list[float], every: int = 50) -> Iterator[int]:
    """Yield step numbers; regularly log the mean of `losses` and the speed, and empty the list."""
    started = time.monotonic()
    for step in range(first, steps):
        yield step
        if (step + 1) % every == 0 and losses:
            rate = (step + 1 - first) / (time.monotonic() - started)
            logger.info(
                "%s %d/%d loss %.5f, %.2f steps/s", stage, step + 1, steps, sum(losses) / len(losses), rate
            )
            losses.clear()


def pictures_to_tensor(pictures: np.ndarray[Any, np.dtype[np.uint8]], device: str) -> Tensor:
    """Convert (n, s, s, 3) uint8 to (n, 3, s, s) float32 in [-1, 1], channels last."""
    tensor = torch.from_numpy(pictures).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1
    return tensor.to(memory_format=torch.channels_last)
