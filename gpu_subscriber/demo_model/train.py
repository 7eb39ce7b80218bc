"""Train the demo model from scratch.

Every stage is seeded and keeps its state in the working folder. An interrupted training resumes.
"""

import argparse
import logging
from pathlib import Path
from typing import Any

import torch
from diffusers import StableDiffusionPipeline
from transformers import CLIPTokenizer

from gpu_subscriber.demo_model import WEIGHTS_FOLDER
from gpu_subscriber.demo_model.training.decoder import redrawn_scenes, train_decoder
from gpu_subscriber.demo_model.training.diffusion import Phase, train_diffusion
from gpu_subscriber.demo_model.training.encoder import train_encoder
from gpu_subscriber.demo_model.training.export import export
from gpu_subscriber.demo_model.training.latents import latent_scenes, write_preview_map
from gpu_subscriber.demo_model.training.networks import new_autoencoder, new_text_encoder, new_unet
from gpu_subscriber.demo_model.training.stage import Cores
from gpu_subscriber.demo_model.training.text import train_text_encoder
from gpu_subscriber.demo_model.training.tokenizer import new_tokenizer


def main() -> None:
    options = _options()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    Cores.use(options.threads)
    folder, device, seed = options.working_folder, options.device, options.seed
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = new_tokenizer(folder / "tokenizer")
    earlier = _earlier_networks(options.begin_with, tokenizer)
    autoencoder = train_encoder(
        folder, earlier.get("vae") or new_autoencoder(), steps=options.encoder_steps, seed=seed, device=device
    )
    text = train_text_encoder(
        folder,
        tokenizer,
        steps=options.text_steps,
        seed=seed + 2,
        device=device,
        begin_with=earlier.get("text_encoder"),
    )
    phases = [
        Phase(
            scenes=latent_scenes(count=options.scenes, side=side, seed=seed + side), batch=batch, steps=steps
        )
        for side, batch, steps in ((128, 64, options.small_steps), (256, 32, options.large_steps))
    ]
    unet, text_encoder = train_diffusion(
        folder, tokenizer, text, phases, begin_with=earlier.get("unet"), seed=seed + 3, device=device
    )
    redrawn = redrawn_scenes(
        unet, text_encoder, tokenizer, count=options.decoder_scenes, seed=seed + 76, device=device
    )
    autoencoder = train_decoder(
        folder,
        autoencoder,
        redrawn,
        from_scratch="vae" not in earlier,
        steps=options.decoder_steps,
        seed=seed + 5,
        device=device,
    )
    export(
        options.weights_folder,
        tokenizer=tokenizer,
        autoencoder=autoencoder,
        text_encoder=text_encoder,
        unet=unet,
    )
    write_preview_map(options.weights_folder / "latent_preview.json", seed=seed + 4)


def _earlier_networks(weights_folder: Path | None, tokenizer: CLIPTokenizer) -> dict[str, Any]:
    """Return earlier networks by their names in the pipeline.

    Networks of other sizes than the current ones are omitted and start from scratch.
    """
    if weights_folder is None:
        return {}
    pipeline: Any = StableDiffusionPipeline.from_pretrained(weights_folder)
    today = {"vae": new_autoencoder(), "unet": new_unet(), "text_encoder": new_text_encoder(tokenizer)}
    return {
        name: pipeline.components[name]
        for name, network in today.items()
        if _sizes(pipeline.components[name]) == _sizes(network)
    }


def _sizes(network: Any) -> dict[str, tuple[int, ...]]:
    return {name: tuple(weights.shape) for name, weights in network.state_dict().items()}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument(
        "--working-folder",
        type=Path,
        default=Path(".darkroom/demo_model_training"),
        help="states and latents",
    )
    parser.add_argument(
        "--weights-folder", type=Path, default=WEIGHTS_FOLDER, help="where the pipeline is written"
    )
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="CPU threads")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scenes", type=int, default=20000, help="different scenes at each of the two sizes")
    parser.add_argument(
        "--begin-with", type=Path, help="weights of an earlier model; without it, random ones"
    )
    parser.add_argument("--encoder-steps", type=int, default=1000)
    parser.add_argument("--text-steps", type=int, default=700)
    parser.add_argument("--small-steps", type=int, default=1500, help="diffusion steps at 128 pixels")
    parser.add_argument(
        "--large-steps", type=int, default=6000, help="diffusion steps at 256 pixels, afterwards"
    )
    parser.add_argument("--decoder-scenes", type=int, default=1000, help="scenes redrawn by the U-Net")
    parser.add_argument("--decoder-steps", type=int, default=2600, help="on those scenes")
    return parser.parse_args()


if __name__ == "__main__":
    main()
