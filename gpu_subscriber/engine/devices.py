"""The device: its choice and precision, the pace of the CPU, and the return of results."""

import os
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import torch

from gpu_subscriber.engine.device_memory import CudaMemory, DeviceMemory
from gpu_subscriber.engine.engine_settings import DtypeChoice, EngineSettings
from gpu_subscriber.engine.gpu_driver import check_gpu
from gpu_subscriber.engine.side_streams import CudaSideStream, SideStream

STEPS_IN_FLIGHT = 2
"""Steps the CPU may queue ahead of a GPU: enough to keep it busy, few enough to cancel and join promptly."""

POISONED = ("CUDA error", "CUDNN_STATUS_EXECUTION_FAILED", "CUBLAS_STATUS_EXECUTION_FAILED")
"""How libraries below torch report a lost context in plain RuntimeErrors."""

OUT_OF_MEMORY = (
    "CUDA out of memory",
    "CUDA error: out of memory",
    "CUDA driver error: out of memory",
    "Triton Error [CUDA]: out of memory",
    "ALLOC_FAILED",
    "ALLOCATION_FAILED",
    "unable to find an engine to execute this computation",
    "Unable to find a valid cuDNN algorithm",
)
"""How libraries and the driver report in other errors that memory has ended.

torch skips the engines of cuDNN whose workspace does not fit, and reports that it found none.
"""


class DeviceEvent(Protocol):
    """A point in the device's queue of work; `torch.cuda.Event` is one."""

    def record(self) -> None:
        """Enqueue the event behind all work queued so far."""
        ...

    def query(self) -> bool:
        """Return whether the device has passed the event."""
        ...

    def synchronize(self) -> None:
        """Wait until the device has passed the event."""
        ...

    def elapsed_time(self, end_event: Any) -> float:
        """Return the milliseconds of the device from this event to another; both must have passed."""
        ...


Mark = DeviceEvent | float
"""A moment of the device: an event where work is queued, else the clock's seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """Tensors on their way to the CPU, or a time to read; `deliver` is called once `event` has passed."""

    tensors: tuple[torch.Tensor, ...]
    deliver: Callable[..., None]
    event: Any = None


@dataclass(slots=True, kw_only=True, eq=False)
class Device:
    """A torch device with its precision.

    All waiting on the device and all timing of it happens here.
    """

    torch_device: torch.device
    dtype: torch.dtype
    new_event: Callable[[], DeviceEvent] | None = None
    """Creates events with timing where work is queued.

    None where each call returns with its work done.
    """
    clock: Callable[[], float] = time.perf_counter
    """Times a device without events."""
    memory: DeviceMemory | None = None
    """None where memory is not limited by the device."""
    encoding: SideStream = field(default_factory=SideStream)
    """Where prompts are encoded."""
    decoding: SideStream = field(default_factory=SideStream)
    """Where images are decoded and previews made."""
    _steps: deque[Any] = field(default_factory=deque)
    _transfers: deque[Transfer] = field(default_factory=deque)

    @classmethod
    def chosen(cls, settings: EngineSettings) -> "Device":
        """Return the configured device; `auto` prefers CUDA.

        Sets the CPU's threads as a side effect. Raises GpuUnusableError.
        """
        kind = settings.device
        if kind == "cuda":
            check_gpu()
        if kind == "auto":
            kind = "cuda" if torch.cuda.is_available() else "cpu"
        if kind == "cpu":
            torch.set_num_threads(settings.cpu_threads or len(os.sched_getaffinity(0)))
        name = settings.dtype
        if name in ("auto", "measured"):
            name = _preferred_dtype(kind)
        new_stream = CudaSideStream if kind == "cuda" else SideStream
        new_event = partial(torch.cuda.Event, enable_timing=True) if kind == "cuda" else None
        return cls(
            torch_device=torch.device(kind),
            dtype=getattr(torch, name),
            new_event=new_event,
            memory=CudaMemory() if kind == "cuda" else None,
            encoding=new_stream(),
            decoding=new_stream(),
        )

    def dtype_of(self, choice: DtypeChoice) -> torch.dtype:
        """Return the number format of a model; `auto` is the device's."""
        if choice == "auto":
            return self.dtype
        chosen: torch.dtype = getattr(torch, choice)
        return chosen

    @property
    def is_cuda(self) -> bool:
        """Whether work is queued on a GPU rather than done at once."""
        return self.torch_device.type == "cuda"

    @property
    def has_own_memory(self) -> bool:
        """Whether weights on the device are not in the host's memory."""
        return self.memory is not None

    def move(self, networks: Iterable[torch.nn.Module], *, to: torch.device) -> None:
        """Move networks from the host's memory to the device's, or back."""
        for network in networks:
            # Tensors of inference mode and others cannot replace each other.
            is_inference = any(weight.is_inference() for weight in network.parameters())
            with torch.inference_mode(is_inference), torch.no_grad():
                network.to(to)

    def pinned(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return a tensor of the host in memory from which copies to the device are fast."""
        return tensor.pin_memory() if self.is_cuda else tensor

    def copied(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return a copy on the device. Work that is queued later finds it complete."""
        return tensor.to(self.torch_device, non_blocking=True)

    @property
    def name(self) -> str:
        """The name of the GPU, or `cpu`."""
        return torch.cuda.get_device_name() if self.is_cuda else "cpu"

    @property
    def has_transfers(self) -> bool:
        """Whether any result or time is pending."""
        return bool(self._transfers)

    def fetch(self, *tensors: torch.Tensor, deliver: Callable[..., None]) -> None:
        """Start copying to the CPU without waiting; a later `finish_transfers` passes the copies to `deliver`."""
        copies = tuple(tensor.to("cpu", non_blocking=True) for tensor in tensors)
        event = self._recorded() if any(tensor.is_cuda for tensor in tensors) else None
        self._transfers.append(Transfer(tensors=copies, deliver=deliver, event=event))

    def mark(self) -> Mark:
        """Return the moment at which the device will have finished all work queued so far."""
        return self.clock() if self.new_event is None else self._recorded()

    def charge(self, began: Mark, pay: Callable[[float], None]) -> None:
        """Call `pay` with the device's seconds from `began` to the end of the work queued so far.

        The call happens at once where work is not queued, else in a later `finish_transfers` after the device
        has finished.
        """
        if isinstance(began, int | float):
            pay(self.clock() - began)
            return
        ended = self._recorded()

        def deliver() -> None:
            pay(began.elapsed_time(ended) / 1_000)

        self._transfers.append(Transfer(tensors=(), deliver=deliver, event=ended))

    def defer(self, deliver: Callable[[], None]) -> None:
        """Have a later `finish_transfers` call `deliver` after everything pending, when all times are known."""
        self._transfers.append(Transfer(tensors=(), deliver=deliver))

    def finish_transfers(self, *, wait: bool = False) -> None:
        """Deliver what has arrived, in order; with `wait`, everything."""
        while self._transfers:
            event = self._transfers[0].event
            if event is not None and not wait and not event.query():
                return
            if event is not None:
                event.synchronize()
            transfer = self._transfers.popleft()
            transfer.deliver(*transfer.tensors)

    def keep_pace(self) -> None:
        """Wait until at most STEPS_IN_FLIGHT steps are queued on the GPU. Called after each step."""
        if self.new_event is None:
            return
        self._steps.append(self._recorded())
        while len(self._steps) > STEPS_IN_FLIGHT:
            self._steps.popleft().synchronize()

    def _recorded(self) -> DeviceEvent:
        if self.new_event is None:
            raise RuntimeError("this device has no events")
        event = self.new_event()
        event.record()
        return event

    def join_side_streams(self) -> None:
        """Let all later work begin after all earlier work."""
        self.encoding.join()
        self.decoding.join()

    def synchronize(self) -> None:
        """Wait until all queued work is done."""
        if self.is_cuda:
            torch.cuda.synchronize()

    def free_memory(self) -> None:
        """Release cached blocks after a failed allocation.

        Call it outside the `except` block, which pins tensors.
        """
        if self.is_cuda:
            torch.cuda.empty_cache()
        self.renew_free_memory()

    def renew_free_memory(self) -> None:
        """Read the free memory again when asked: something large was allocated or freed."""
        if self.memory is not None:
            self.memory.renew()


def _preferred_dtype(kind: str) -> DtypeChoice:
    """Return the fastest format with enough precision: GPUs before Ampere only emulate bfloat16."""
    if kind != "cuda":
        return "float32"
    return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float16"


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether the device's memory has ended, in torch or in a library below it."""
    if isinstance(error, torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in OUT_OF_MEMORY)


def is_device_lost(error: BaseException) -> bool:
    """Return whether the device's context is poisoned, so that this process can never use it again."""
    if is_out_of_memory(error):
        return False
    if isinstance(error, torch.AcceleratorError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in POISONED)
