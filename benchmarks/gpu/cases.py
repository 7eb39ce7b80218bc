"""What is measured, in order of importance: a run that ends early has the most important rows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

PLAIN, COMPILED, FP8 = "plain", "compiled", "compiled, fp8"
VARIANTS = (PLAIN, COMPILED, FP8)
"""How the engine runs the denoiser; all but the first are optional."""


class Kind(StrEnum):
    """The kinds of measurements."""

    MATRIX_RATE = "matrix_rate"
    """The product of two large matrices: what the device can reach."""
    STOCK = "stock"
    """The stock pipeline of diffusers, one image after another: the baseline."""
    ENGINE = "engine"
    """The engine under backlog, with at most `batch` images in a step."""
    IDLE = "idle_share"
    """The share of time without work on the device, under backlog."""
    ADMISSION = "admission"
    """The time until an image that joins a running batch has taken its first step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One row of the report."""

    kind: Kind
    model: str | None = None
    side: int = 0
    batch: int = 1
    variant: str = PLAIN

    @property
    def name(self) -> str:
        """A name for the log, such as `sdxl 1024² engine, compiled, batch 4`."""
        parts = [self.kind.value.replace("_", " ")]
        if self.variant != PLAIN:
            parts.append(self.variant)
        if self.kind not in (Kind.MATRIX_RATE, Kind.STOCK):
            parts.append(f"batch {self.batch}")
        size = f"{self.model} {self.side}² " if self.model else ""
        return size + ", ".join(parts)


def planned(model: str, sides: Sequence[int], batches: Sequence[int]) -> Iterator[Case]:
    """Yield the cases of one model. `batches` are the sizes above 1, in ascending order.

    Cases of one pipeline follow one another, because each is loaded once.
    """
    main, *others = sides
    largest = batches[-1]
    for side in sides:
        yield Case(kind=Kind.STOCK, model=model, side=side)
    for side in sides:
        for batch in (1, *reversed(batches)):
            yield Case(kind=Kind.ENGINE, model=model, side=side, batch=batch)
    for side in sides:
        yield Case(kind=Kind.IDLE, model=model, side=side, batch=largest)
    yield Case(kind=Kind.ADMISSION, model=model, side=main, batch=largest)
    for variant in VARIANTS[1:]:
        yield Case(kind=Kind.ENGINE, model=model, side=main, batch=largest, variant=variant)
        yield Case(kind=Kind.ENGINE, model=model, side=main, batch=1, variant=variant)
        for side in others:
            yield Case(kind=Kind.ENGINE, model=model, side=side, batch=largest, variant=variant)
