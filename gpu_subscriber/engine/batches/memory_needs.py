"""How much device memory a model's steps and decodings take, besides its weights. Pure."""

from dataclasses import dataclass

from gpu_subscriber.engine.batches.batch_planning import BatchKey


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryNeeds:
    """Measured at one size; linear in the rows and pixels of others.

    Attention whose memory grows with the square of the pixels is underestimated at larger sizes.
    """

    step_bytes: float
    """Of every step, whatever its batch."""
    step_bytes_per_pixel: float
    """Of a step, per pixel and row."""
    decoding_bytes_per_pixel: float

    @classmethod
    def measured(cls, key: BatchKey, *, alone: int, pair: int, decoding: int) -> "MemoryNeeds":
        """Return the needs by the peaks of a step of one Run, of a pair, and of a decoding.

        If a pair takes no more than one Run or more than twice as much, all memory counts as
        proportional to the pixels.
        """
        is_linear = alone < pair <= 2 * alone
        of_one_run = pair - alone if is_linear else max(1, alone, pair / 2)
        return cls(
            step_bytes=max(0, alone - of_one_run),
            step_bytes_per_pixel=of_one_run / key.row_pixels,
            decoding_bytes_per_pixel=decoding / (key.width * key.height),
        )

    def of_step(self, key: BatchKey, batch: int) -> float:
        """Return the bytes of a step of `batch` Runs."""
        return self.step_bytes + batch * key.row_pixels * self.step_bytes_per_pixel

    def of_decoding(self, key: BatchKey) -> float:
        """Return the bytes of decoding one image in one piece."""
        return key.width * key.height * self.decoding_bytes_per_pixel

    def largest_batch(self, key: BatchKey, free_bytes: float) -> int:
        """Return the number of Runs whose step fits; may be 0."""
        of_one_run = key.row_pixels * self.step_bytes_per_pixel
        return max(0, int((free_bytes - self.step_bytes) / of_one_run))
