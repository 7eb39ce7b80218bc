"""The header of a safetensors file: names, shapes and number formats of its tensors, read without torch."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

_LENGTH_BYTES = 8
_MAX_HEADER_BYTES = 100_000_000
"""The limit of the format's own library."""
_BITS = {
    **dict.fromkeys(("C64", "F64", "I64", "U64"), 64),
    **dict.fromkeys(("F32", "I32", "U32"), 32),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 16),
    **dict.fromkeys(("BOOL", "I8", "U8", "F8_E4M3", "F8_E5M2", "F8_E8M0"), 8),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    "F4": 4,
}
"""Bits of an element, by number format."""


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
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidSafetensorsError(f"{file} is not a readable safetensors file: {error}") from error


def header_bytes(start: bytes, *, size: int) -> int:
    """Return how many bytes at the start of a file of this size are its header, with its length.

    Raises InvalidSafetensorsError.
    """
    length = int.from_bytes(start[:_LENGTH_BYTES], "little")
    if len(start) < _LENGTH_BYTES or not 0 < length <= min(_MAX_HEADER_BYTES, size - _LENGTH_BYTES):
        raise InvalidSafetensorsError("its header has an impossible length")
    return _LENGTH_BYTES + length


def check_layout(start: bytes, *, size: int) -> None:
    """Check that the tensors of a file of this size are in it: one after another, without gaps, to its end.

    `start` has at least the header. Raises InvalidSafetensorsError.
    """
    end = header_bytes(start, size=size)
    try:
        header = json.loads(start[_LENGTH_BYTES:end])
        header.pop("__metadata__", None)
        tensors = sorted(_place(name, tensor) for name, tensor in header.items())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidSafetensorsError(f"its header is not readable: {error!r}") from error
    expected = 0
    for first, last, bits, name in tensors:
        if first != expected or last < first:
            raise InvalidSafetensorsError(f"the tensor {name!r} begins at {first} instead of {expected}")
        if 8 * (last - first) != bits:
            raise InvalidSafetensorsError(
                f"the tensor {name!r} has {last - first} bytes, its shape {bits // 8}"
            )
        expected = last
    if expected != size - end:
        raise InvalidSafetensorsError(f"its tensors have {expected} bytes, and the file {size - end}")


def _place(name: str, tensor: Mapping[str, Any]) -> tuple[int, int, int, str]:
    """Return where a tensor begins and ends, how many bits its shape has, and its name."""
    begin, end = map(int, tensor["data_offsets"])
    return begin, end, prod(map(int, tensor["shape"])) * _BITS[tensor["dtype"]], name
