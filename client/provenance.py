"""Provenance: how an image came about, as the task and the image's own file tell it."""

from pydantic import Field

from client.record import Record


class Environment(Record):
    """Where steps were computed. Whatever differs here may change the last bits of every number."""

    device: str
    capability: str | None = None
    threads: int | None = None
    dtype: str
    channels_last: tuple[str, ...] = ()
    compiled: bool = False
    versions: dict[str, str] = Field(default_factory=dict)


class Resume(Record):
    """The drawing went on from a checkpoint after `step` steps, computed `before` where that was another place."""

    step: int
    before: Environment | None = None


class Provenance(Record):
    """All that decided an image's pixels besides its parameters, and the SHA-256 of those pixels."""

    attempt: int
    revision: str | None = None
    weights: dict[str, str]
    sampler_config: dict[str, bool | int | float | str]
    environment: Environment
    batches: tuple[int, ...]
    resumes: tuple[Resume, ...] = ()
    started_over_because: str | None = None
    decoded_in_tiles: bool = False
    pixels_sha256: str
    decoded_sha256: str
