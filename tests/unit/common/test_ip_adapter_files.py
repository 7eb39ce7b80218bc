"""Checks of IP-Adapter files by their headers, for the catalog."""

import json
from pathlib import Path
from typing import Any

import pytest

from common.catalog_file import CatalogEntryError, parse_catalog
from common.domain.models.model_files import IpAdapter
from tests.unit.common.test_lora_files import ENTRY, write_header

ATTENTION = {"ip_adapter.1.to_k_ip.weight": ("F16", [8, 8]), "ip_adapter.1.to_v_ip.weight": ("F16", [8, 8])}
GOOD = {**ATTENTION, "image_proj.proj.weight": ("F16", [32, 4])}


def parse(folder: Path, source: str = "a.safetensors") -> IpAdapter:
    adapter = {"name": "a", "source": source, "image_encoder": "clip"}
    entry = {**ENTRY, "ip_adapters": [adapter]}
    return parse_catalog(json.dumps({"models": [entry]}).encode(), beside=folder).default.ip_adapters[0]


def test_relative_paths_start_from_the_catalog(tmp_path: Path) -> None:
    write_header(tmp_path / "a.safetensors", GOOD)
    (tmp_path / "clip").mkdir()
    adapter = parse(tmp_path)
    assert (adapter.source, adapter.image_encoder) == (
        str(tmp_path / "a.safetensors"),
        str(tmp_path / "clip"),
    )


def test_paths_that_are_not_readable_here_are_accepted(tmp_path: Path) -> None:
    adapter = parse(tmp_path, "/elsewhere/a.safetensors")
    assert (adapter.source, adapter.image_encoder) == ("/elsewhere/a.safetensors", "clip")


@pytest.mark.parametrize(
    ("tensors", "reason"),
    [
        ({}, "is no IP-Adapter"),
        (ATTENTION, "is no IP-Adapter"),
        ({"image_proj.proj.weight": ("F16", [32, 4])}, "is no IP-Adapter"),
        ({**ATTENTION, "image_proj.proj.0.weight": ("F16", [8, 8])}, "reads the embedding of a face"),
        ({**GOOD, "ip_adapter.0.to_q_lora.down.weight": ("F16", [4, 8])}, "contains a LoRA"),
        ({**GOOD, "image_proj.norm.weight": ("I8", [8])}, "number format I8"),
    ],
)
def test_file_that_cannot_be_applied_is_a_catalog_problem(
    tmp_path: Path, tensors: dict[str, Any], reason: str
) -> None:
    write_header(tmp_path / "a.safetensors", tensors)
    with pytest.raises(CatalogEntryError, match=rf"models/0: `ip_adapters/0/source`: .*{reason}"):
        parse(tmp_path)


def test_damaged_file_is_a_catalog_problem(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(b"\xff" * 100)
    with pytest.raises(CatalogEntryError, match="is not a readable safetensors file"):
        parse(tmp_path)
