"""Models with the architectures of published checkpoints and random weights.

Speed and memory do not depend on the values of weights, so nothing has to be downloaded. Each model
is saved as a folder, which the engine and diffusers load like any other.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    T5Config,
    T5EncoderModel,
    T5Tokenizer,
)

from common.domain.models.limits import ModelDefaults, ModelLimits
from common.domain.models.spec import ModelSpec
from common.domain.models.traits import Guidance, ModelTraits
from common.domain.parameters import Sampler
from common.model_files.single_file import CONFIGS

_SDXL = CONFIGS / "stable_diffusion_xl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """A catalog entry whose `source` is still to be created, and the sides to measure, the main one first."""

    spec: ModelSpec
    sides: tuple[int, ...]
    gigabytes: float
    """Of the saved model in 16 bits per parameter."""
    scheduler: Callable[[], Any]
    build: Callable[[Any], Any]
    """Creates the pipeline with a scheduler, on torch's default device."""

    def saved(self, folder: Path, *, device: torch.device, dtype: torch.dtype) -> ModelSpec:
        """Create the model on `device`, save it in `folder`, and return its catalog entry."""
        self.created(device=device, dtype=dtype).save_pretrained(folder, safe_serialization=True)
        return self.spec.model_copy(update={"source": str(folder)})

    def created(self, *, device: torch.device, dtype: torch.dtype) -> Any:
        """Create the pipeline. The tables of its scheduler stay on the CPU, as in a loaded one."""
        scheduler = self.scheduler()
        with _creating(device, dtype):
            return self.build(scheduler)


@contextmanager
def _creating(device: torch.device, dtype: torch.dtype) -> Iterator[None]:
    """Create parameters directly on the device, in the number format in which they are used."""
    usual = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.random.fork_rng(), device:
            torch.manual_seed(0)
            yield
    finally:
        torch.set_default_dtype(usual)


def _sdxl_with(
    scheduler: Any, *, unet: Mapping[str, Any], vae: Mapping[str, Any], text: Mapping[str, Any]
) -> StableDiffusionXLPipeline:
    """Build SDXL; the arguments override parts of its configuration."""
    text_encoder, text_encoder_2 = (
        CLIPTextConfig(**{**_shipped(name), **text}) for name in ("text_encoder", "text_encoder_2")
    )
    tokenizer, tokenizer_2 = (
        CLIPTokenizer.from_pretrained(_SDXL / name) for name in ("tokenizer", "tokenizer_2")
    )
    return StableDiffusionXLPipeline(
        vae=AutoencoderKL.from_config({**_shipped("vae"), **vae}),
        unet=UNet2DConditionModel.from_config({**_shipped("unet"), **unet}),
        scheduler=scheduler,
        text_encoder=CLIPTextModel(text_encoder),
        tokenizer=tokenizer,
        text_encoder_2=CLIPTextModelWithProjection(text_encoder_2),
        tokenizer_2=tokenizer_2,
        force_zeros_for_empty_prompt=True,
    )


def _sdxl(scheduler: Any) -> StableDiffusionXLPipeline:
    return _sdxl_with(scheduler, unet={}, vae={}, text={})


def _tiny_sdxl(scheduler: Any) -> StableDiffusionXLPipeline:
    width = 32
    return _sdxl_with(
        scheduler,
        unet={
            "block_out_channels": (32, 64, 64),
            "layers_per_block": 1,
            "attention_head_dim": (2, 4, 4),
            "transformer_layers_per_block": (1, 1, 1),
            "addition_time_embed_dim": 8,
            "projection_class_embeddings_input_dim": width + 6 * 8,
            "cross_attention_dim": 2 * width,
        },
        vae={"block_out_channels": (8,) * 4, "layers_per_block": 1, "norm_num_groups": 4},
        text={
            "hidden_size": width,
            "intermediate_size": 2 * width,
            "projection_dim": width,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
        },
    )


def _flux(scheduler: Any) -> FluxPipeline:
    """Build FLUX.1 [dev]. Its T5 has a tokenizer of single letters."""
    letters = [(chr(code), -3.0) for code in range(ord("!"), ord("~") + 1)]
    special = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0)]
    return FluxPipeline(
        scheduler=scheduler,
        vae=AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            block_out_channels=(128, 256, 512, 512),
            layers_per_block=2,
            latent_channels=16,
            sample_size=1024,
            scaling_factor=0.3611,
            shift_factor=0.1159,
            use_quant_conv=False,
            use_post_quant_conv=False,
        ),
        text_encoder=CLIPTextModel(CLIPTextConfig(**_shipped("text_encoder"))),
        tokenizer=CLIPTokenizer.from_pretrained(_SDXL / "tokenizer"),
        text_encoder_2=T5EncoderModel(
            T5Config(
                vocab_size=32128,
                d_model=4096,
                d_kv=64,
                d_ff=10240,
                num_layers=24,
                num_heads=64,
                feed_forward_proj="gated-gelu",
            )
        ),
        tokenizer_2=T5Tokenizer(vocab=special + letters, extra_ids=0, model_max_length=512),
        transformer=FluxTransformer2DModel(guidance_embeds=True),
    )


def _sdxl_scheduler() -> EulerDiscreteScheduler:
    return EulerDiscreteScheduler.from_config(_shipped("scheduler", "scheduler_config.json"))


def _flux_scheduler() -> FlowMatchEulerDiscreteScheduler:
    return FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True)


def _shipped(part: str, name: str = "config.json") -> dict[str, Any]:
    return json.loads((_SDXL / part / name).read_text())


def _diffusion_spec(name: str, title: str, *, side: int, sides_from: int) -> ModelSpec:
    return ModelSpec(
        name=name,
        title=title,
        family="stable_diffusion_xl",
        source="unset",
        limits=ModelLimits(min_side=sides_from),
        defaults=ModelDefaults(steps=30, guidance_scale=5.0, sampler=Sampler.EULER, width=side, height=side),
    )


ARCHITECTURES = {
    "sdxl": Architecture(
        spec=_diffusion_spec("sdxl", "Stable Diffusion XL", side=1024, sides_from=512),
        sides=(1024, 512),
        gigabytes=7.0,
        scheduler=_sdxl_scheduler,
        build=_sdxl,
    ),
    "flux": Architecture(
        spec=ModelSpec(
            name="flux",
            title="FLUX.1 [dev]",
            family="flux",
            source="unset",
            samplers=(Sampler.FLOW_EULER,),
            traits=ModelTraits(guidance=Guidance.EMBEDDED, negative_prompt=False),
            limits=ModelLimits(side_multiple=16),
            defaults=ModelDefaults(
                steps=30, guidance_scale=3.5, sampler=Sampler.FLOW_EULER, width=1024, height=1024
            ),
        ),
        sides=(1024, 512),
        gigabytes=34.0,
        scheduler=_flux_scheduler,
        build=_flux,
    ),
    "tiny": Architecture(
        spec=_diffusion_spec("tiny", "SDXL with tiny networks", side=128, sides_from=64),
        sides=(128, 64),
        gigabytes=0.1,
        scheduler=_sdxl_scheduler,
        build=_tiny_sdxl,
    ),
}
"""The models to measure, by the name that the command takes."""
