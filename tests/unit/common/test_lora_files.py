"""Checks of LoRA files by their headers, for the catalog."""

import json
from pathlib import Path
from typing import Any

import pytest

from common.catalog_file import CatalogEntryError, parse_catalog

ENTRY = {"name": "tiny", "title": "Tiny", "family": "stable_diffusion", "source": "example/tiny"}
GOOD = {"unet.a.lora_A.weight": ("F16", [4, 8]), "unet.a.lora_B.weight": ("F16", [8, 4])}


def write_header(file: Path, tensors: dict[str, Any]) -> None:
    header = {
        name: {"dtype": dtype, "shape": shape, "data_offsets": [0, 0]}
        for name, (dtype, shape) in tensors.items()
    }
    text = json.dumps(header).encode()
    file.write_bytes(len(text).to_bytes(8, "little") + text)


def parse(folder: Path, source: str = "a.safetensors") -> str:
    """Return the absolute source of the entry's LoRA."""
    entry = {**ENTRY, "loras": [{"name": "a", "source": source}]}
    catalog = parse_catalog(json.dumps({"models": [entry]}).encode(), beside=folder)
    return catalog.default.loras[0].source


def test_relative_source_starts_from_the_catalog(tmp_path: Path) -> None:
    write_header(tmp_path / "a.safetensors", GOOD)
    assert parse(tmp_path) == str(tmp_path / "a.safetensors")


def test_file_that_is_not_readable_here_is_accepted(tmp_path: Path) -> None:
    assert parse(tmp_path, "/elsewhere/a.safetensors") == "/elsewhere/a.safetensors"


@pytest.mark.parametrize(
    ("tensors", "reason"),
    [
        ({}, "has no LoRA"),
        ({"unet.a.weight": ("F16", [8, 8])}, "has no LoRA"),
        ({**GOOD, "unet.a.dora_scale": ("F16", [8])}, "is a DoRA"),
        ({"lycoris_a.lokr_w1": ("F16", [8, 8])}, "is a LoKr"),
        ({"lora_unet_a.hada_w1_a": ("F16", [8, 8])}, "is a LoHa"),
        ({"unet.a.lora_A.weight": ("F16", [1024, 8])}, "ranks must be between 1 and 512"),
        ({"unet.a.lora_A.weight": ("I8", [4, 8])}, "number format I8"),
    ],
)
def test_file_that_cannot_be_applied_is_a_catalog_problem(
    tmp_path: Path, tensors: dict[str, Any], reason: str
) -> None:
    write_header(tmp_path / "a.safetensors", tensors)
    with pytest.raises(CatalogEntryError, match=rf"models/0: `loras/0/source`: .*{reason}"):
        parse(tmp_path)


def test_damaged_file_is_a_catalog_problem(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(b"\xff" * 100)
    with pytest.raises(CatalogEntryError, match="is not a readable safetensors file"):
        parse(tmp_path)
