"""A model of the hub is downloaded, its entry is merged into a catalog, and the engine loads it."""

from pathlib import Path

import torch
from diffusers import DiffusionPipeline

from common.settings import read_catalog
from gpu_subscriber.download_model import download, parser
from gpu_subscriber.engine.models.loading import load_family
from tests.fakes.hub_server import Repository, hub_server
from tests.unit.gpu_subscriber.engine.driven_engine import CPU


def test_downloaded_model_has_the_weights_of_the_hub(tmp_path: Path, stable_diffusion_folder: Path) -> None:
    repository = Repository.of_folder(stable_diffusion_folder)
    repository.files["unet/diffusion_pytorch_model.bin"] = b"a pickle of the same network"
    catalog = tmp_path / "models.json"
    options = ["owner/tiny", "--to", str(tmp_path / "weights"), "--catalog", str(catalog)]
    with hub_server({"owner/tiny": repository}) as endpoint:
        download(parser().parse_args(options), endpoint=endpoint)
    (spec,) = read_catalog(catalog).models
    loaded = load_family(spec, CPU).pipeline
    stock = DiffusionPipeline.from_pretrained(stable_diffusion_folder, use_safetensors=True)
    for name in ("unet", "vae", "text_encoder"):
        expected = getattr(stock, name).state_dict()
        found = getattr(loaded, name).state_dict()
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[key], expected[key]) for key in expected)
