"""The header of a safetensors file: names, shapes and number formats of its tensors, read without torch."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path

_LENGTH_BYTES = 8
_MAX_HEADER_BYTES = 100_000_000
"""The limit of the format's own library."""


class InvalidSafetensorsError(Exception):
    """The file is not a readable safetensors file; the text names it."""


@dataclass(frozen=True, slots=True)
class TensorHeader:
    """One tensor of a file."""

    dtype: str
    """As the format writes it: `F32`, `F16`, `BF16` …"""
    shape: tuple[int, ...]

    @property
    def elements(self) -> int:
        """The number of its elements."""
        return prod(self.shape)


def read_tensors(file: Path) -> Mapping[str, TensorHeader]:
    """Return the tensors of a file by name. Raises InvalidSafetensorsError."""
    try:
        with file.open("rb") as opened:
            length = int.from_bytes(opened.read(_LENGTH_BYTES), "little")
            if not 0 < length <= min(_MAX_HEADER_BYTES, file.stat().st_size):
                raise ValueError("its header has an impossible length")
            header = json.loads(opened.read(length))
        header.pop("__metadata__", None)
        return {
            name: TensorHeader(dtype=str(tensor["dtype"]), shape=tuple(map(int, tensor["shape"])))
            for name, tensor in header.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidSafetensorsError(f"{file} is not a readable safetensors file: {error}") from error
