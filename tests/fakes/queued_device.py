"""QueuedDevice: a device that works through a queue, as a GPU does, on a timeline that only the
test advances.
"""

from dataclasses import dataclass, field


@dataclass(slots=True)
class QueuedDevice:
    """Work takes no CPU time.

    `now` is the device's current time, `busy_until` the end of its queue.
    """

    now: float = 0.0
    busy_until: float = 0.0
    waits: int = 0
    """The number of times that the CPU waited for the device."""

    def queue(self, seconds: float) -> None:
        """Append work to the queue."""
        self.busy_until += seconds

    def finish(self) -> None:
        """Advance the device to the end of its queue."""
        self.now = self.busy_until

    def new_event(self) -> "QueuedEvent":
        return QueuedEvent(self)


@dataclass(slots=True)
class QueuedEvent:
    """Replaces a `torch.cuda.Event` with timing."""

    device: QueuedDevice
    at: float = field(default=-1.0)

    def record(self) -> None:
        self.at = self.device.busy_until

    def query(self) -> bool:
        return self.device.now >= self.at

    def synchronize(self) -> None:
        if not self.query():
            self.device.waits += 1
            self.device.now = self.at

    def elapsed_time(self, end_event: "QueuedEvent") -> float:
        assert self.query(), "CUDA refuses to time an event that has not passed"
        assert end_event.query(), "CUDA refuses to time an event that has not passed"
        return (end_event.at - self.at) * 1_000
