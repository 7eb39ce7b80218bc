"""Tiny, seeded, untrained pipelines of real classes without a stepping family, as model folders."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderDC,
    AutoencoderKL,
    AutoencoderKLFlux2,
    AutoencoderKLQwenImage,
    AutoencoderKLWan,
    ChromaPipeline,
    ChromaTransformer2DModel,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    Flux2KleinPipeline,
    Flux2Transformer2DModel,
    FluxKontextPipeline,
    FluxPipeline,
    FluxTransformer2DModel,
    Lumina2Pipeline,
    Lumina2Transformer2DModel,
    PixArtSigmaPipeline,
    PixArtTransformer2DModel,
    QwenImageEditPipeline,
    QwenImagePipeline,
    QwenImageTransformer2DModel,
    SanaPipeline,
    SanaTransformer2DModel,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
    UniPCMultistepScheduler,
    WanPipeline,
    WanTransformer3DModel,
    ZImagePipeline,
    ZImageTransformer2DModel,
)
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    Gemma2Config,
    Gemma2Model,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2Tokenizer,
    Qwen2VLImageProcessorPil,
    Qwen3Config,
    Qwen3ForCausalLM,
    Qwen3Model,
    T5Config,
    T5EncoderModel,
    T5Tokenizer,
)

from gpu_subscriber.engine.conditions.picture_processor import PictureProcessor
from gpu_subscriber.engine.models.pipeline_parts import PICTURE_PROCESSOR
from tests.unit.gpu_subscriber.engine.tiny_pipelines import byte_letters, byte_tokenizer

_TOKENS = 77
_PICTURE_TOKENS = ("<|vision_start|>", "<|image_pad|>", "<|vision_end|>")
_CHAT = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def saved(name: str, folder: Path, **changes: Any) -> Path:
    """Save the tiny pipeline with this name in FAMILIES."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        pipeline: Any = FAMILIES[name](folder, **changes)
    pipeline.save_pretrained(folder, safe_serialization=True)
    if hasattr(pipeline, "processor"):
        index = json.loads((folder / "model_index.json").read_text())
        (folder / "model_index.json").write_text(json.dumps({**index, "processor": PICTURE_PROCESSOR}))
    return folder


def _sdxl(folder: Path, *, in_channels: int = 4, **changes: Any) -> Any:
    parts: dict[str, Any] = {
        "vae": _autoencoder(scaling_factor=0.13025),
        "unet": UNet2DConditionModel(
            block_out_channels=(32, 64),
            layers_per_block=1,
            sample_size=4,
            in_channels=in_channels,
            out_channels=4,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            attention_head_dim=(2, 4),
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            transformer_layers_per_block=(1, 1),
            projection_class_embeddings_input_dim=80,
            cross_attention_dim=64,
        ),
        "scheduler": EulerDiscreteScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1
        ),
        "text_encoder": CLIPTextModel(_clip_config()),
        "tokenizer": _clip_tokenizer(folder, 1),
        "text_encoder_2": CLIPTextModelWithProjection(_clip_config(hidden_act="gelu")),
        "tokenizer_2": _clip_tokenizer(folder, 2),
        **changes,
    }
    return StableDiffusionXLPipeline(**parts)


def _flux(folder: Path, *, guided: bool, kind: Any = FluxPipeline) -> Any:
    return kind(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=guided),
        vae=_autoencoder(4, use_quant_conv=False, use_post_quant_conv=False, shift_factor=0.1),
        text_encoder=CLIPTextModel(_clip_config()),
        tokenizer=_clip_tokenizer(folder, 1),
        text_encoder_2=_t5(),
        tokenizer_2=_t5_tokenizer(),
        transformer=FluxTransformer2DModel(
            patch_size=1,
            in_channels=16,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=32,
            pooled_projection_dim=32,
            axes_dims_rope=(4, 4, 8),
            guidance_embeds=guided,
        ),
    )


def _chroma(_folder: Path) -> Any:
    return ChromaPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        vae=_autoencoder(1, use_quant_conv=False, use_post_quant_conv=False, shift_factor=0.1),
        text_encoder=_t5(),
        tokenizer=_t5_tokenizer(),
        transformer=ChromaTransformer2DModel(
            patch_size=1,
            in_channels=4,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=32,
            axes_dims_rope=(4, 4, 8),
            approximator_num_channels=16,
            approximator_hidden_dim=32,
            approximator_layers=1,
        ),
    )


def _sd3(folder: Path, **changes: Any) -> Any:
    parts: dict[str, Any] = {
        "transformer": SD3Transformer2DModel(
            sample_size=32,
            patch_size=2,
            in_channels=16,
            num_layers=1,
            attention_head_dim=8,
            num_attention_heads=4,
            caption_projection_dim=32,
            joint_attention_dim=64,
            pooled_projection_dim=64,
            out_channels=16,
        ),
        "scheduler": FlowMatchEulerDiscreteScheduler(shift=3.0),
        "vae": _autoencoder(16, use_quant_conv=False, use_post_quant_conv=False, shift_factor=0.06),
        "text_encoder": CLIPTextModelWithProjection(_clip_config()),
        "tokenizer": _clip_tokenizer(folder, 1),
        "text_encoder_2": CLIPTextModelWithProjection(_clip_config(hidden_act="gelu")),
        "tokenizer_2": _clip_tokenizer(folder, 2),
        "text_encoder_3": _t5(64),
        "tokenizer_3": _t5_tokenizer(),
        **changes,
    }
    return StableDiffusion3Pipeline(**parts)


def _qwen(_folder: Path, *, edits: bool = False) -> Any:
    tokenizer = _chat_tokenizer(*_PICTURE_TOKENS)
    numbers: Any = tokenizer.convert_tokens_to_ids(list(_PICTURE_TOKENS))
    start, picture, end = numbers
    rope = {"mrope_section": [1, 1, 2], "rope_type": "default", "rope_theta": 1_000_000.0}
    config = Qwen2_5_VLConfig(
        text_config={
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "vocab_size": 300,
            "rope_parameters": rope,
            "max_position_embeddings": 1024,
        },
        vision_config={
            "depth": 2,
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_heads": 2,
            "out_hidden_size": 16,
        },
        vision_start_token_id=start,
        vision_end_token_id=end,
        image_token_id=picture,
        video_token_id=293,
    )
    images: Any = Qwen2VLImageProcessorPil()
    processor = {"processor": PictureProcessor(image_processor=images, tokenizer=tokenizer)} if edits else {}
    kind: Any = QwenImageEditPipeline if edits else QwenImagePipeline
    return kind(
        **processor,
        scheduler=FlowMatchEulerDiscreteScheduler(
            use_dynamic_shifting=True, shift=1.0, shift_terminal=0.02, time_shift_type="exponential"
        ),
        vae=AutoencoderKLQwenImage(
            base_dim=24,
            z_dim=4,
            dim_mult=[1, 2, 4],
            num_res_blocks=1,
            temperal_downsample=[False, True],
            latents_mean=[-0.3, 0.1, 0.4, -0.2],
            latents_std=[0.9, 1.3, 1.1, 0.8],
        ),
        text_encoder=Qwen2_5_VLForConditionalGeneration(config).eval(),
        tokenizer=tokenizer,
        transformer=QwenImageTransformer2DModel(
            patch_size=2,
            in_channels=16,
            out_channels=4,
            num_layers=2,
            attention_head_dim=16,
            num_attention_heads=3,
            joint_attention_dim=16,
            guidance_embeds=False,
            axes_dims_rope=(8, 4, 4),
        ),
    )


def _flux_2_klein(_folder: Path, *, distilled: bool) -> Any:
    vae: Any = AutoencoderKLFlux2(
        block_out_channels=(8,) * 4,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=64,
        mid_block_add_attention=False,
    )
    vae.bn.running_mean.normal_()
    vae.bn.running_var.uniform_(0.5, 2.0)
    return Flux2KleinPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(
            shift=3.0, use_dynamic_shifting=True, time_shift_type="exponential"
        ),
        vae=vae,
        # The pipeline reads the layers 9, 18 and 27.
        text_encoder=Qwen3ForCausalLM(_qwen3_config(layers=27)).eval(),
        tokenizer=_chat_tokenizer(),
        transformer=Flux2Transformer2DModel(
            in_channels=16,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=48,
            axes_dims_rope=(4, 4, 4, 4),
            guidance_embeds=False,
        ),
        is_distilled=distilled,
    )


def _z_image(_folder: Path) -> Any:
    return ZImagePipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=_autoencoder(16, scaling_factor=0.36, shift_factor=0.12),
        text_encoder=Qwen3Model(_qwen3_config(layers=2)).eval(),
        tokenizer=_chat_tokenizer(),
        transformer=ZImageTransformer2DModel(
            all_patch_size=(2,),
            all_f_patch_size=(1,),
            in_channels=16,
            dim=32,
            n_layers=2,
            n_refiner_layers=1,
            n_heads=2,
            n_kv_heads=2,
            norm_eps=1e-5,
            qk_norm=True,
            rope_theta=256.0,
            t_scale=1000.0,
            cap_feat_dim=16,
            axes_dims=[8, 4, 4],
            axes_lens=[1024, 64, 64],
        ),
    )


def _sana(_folder: Path, *, sample_size: int = 16, out_channels: int = 4) -> Any:
    """Generate in sizes of about 512 x 512, with 16 x 16 latents."""
    levels = 6
    return SanaPipeline(
        tokenizer=_chat_tokenizer(),
        text_encoder=_gemma(),
        vae=AutoencoderDC(
            in_channels=3,
            latent_channels=4,
            attention_head_dim=2,
            encoder_block_types=("ResBlock",) * (levels - 1) + ("EfficientViTBlock",),
            decoder_block_types=("ResBlock",) * (levels - 1) + ("EfficientViTBlock",),
            encoder_block_out_channels=(4,) * levels,
            decoder_block_out_channels=(4,) * levels,
            encoder_qkv_multiscales=((),) * (levels - 1) + ((5,),),
            decoder_qkv_multiscales=((),) * (levels - 1) + ((5,),),
            encoder_layers_per_block=(1,) * levels,
            decoder_layers_per_block=[1] * levels,
            downsample_block_type="conv",
            upsample_block_type="interpolate",
            decoder_norm_types="rms_norm",
            decoder_act_fns="silu",
            scaling_factor=0.41407,
        ),
        transformer=SanaTransformer2DModel(
            patch_size=1,
            in_channels=4,
            out_channels=out_channels,
            num_layers=1,
            num_attention_heads=2,
            attention_head_dim=4,
            num_cross_attention_heads=2,
            cross_attention_head_dim=4,
            cross_attention_dim=8,
            caption_channels=8,
            sample_size=sample_size,
        ),
        scheduler=DPMSolverMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0, beta_schedule="linear"
        ),
    )


def _lumina_2(_folder: Path) -> Any:
    return Lumina2Pipeline(
        tokenizer=_chat_tokenizer(),
        text_encoder=_gemma(),
        vae=_autoencoder(16, scaling_factor=0.36, shift_factor=0.12),
        transformer=Lumina2Transformer2DModel(
            sample_size=4,
            patch_size=2,
            in_channels=16,
            hidden_size=24,
            num_layers=2,
            num_refiner_layers=1,
            num_attention_heads=3,
            num_kv_heads=1,
            multiple_of=2,
            axes_dim_rope=(4, 2, 2),
            axes_lens=(300, 64, 64),
            cap_feat_dim=8,
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=6.0),
    )


def _pixart(_folder: Path) -> Any:
    return PixArtSigmaPipeline(
        tokenizer=_t5_tokenizer(),
        text_encoder=_t5(),
        vae=_autoencoder(),
        transformer=PixArtTransformer2DModel(
            sample_size=4,
            num_layers=1,
            patch_size=2,
            attention_head_dim=8,
            num_attention_heads=3,
            caption_channels=32,
            in_channels=4,
            cross_attention_dim=24,
            out_channels=8,
            attention_bias=True,
            activation_fn="gelu-approximate",
            num_embeds_ada_norm=1000,
            norm_type="ada_norm_single",
            norm_elementwise_affine=False,
            norm_eps=1e-6,
        ),
        scheduler=DPMSolverMultistepScheduler(),
    )


def _wan(_folder: Path) -> Any:
    return WanPipeline(
        tokenizer=_t5_tokenizer(),
        text_encoder=_t5(),
        vae=AutoencoderKLWan(
            base_dim=3,
            z_dim=16,
            dim_mult=[1, 1, 1, 1],
            num_res_blocks=1,
            temperal_downsample=[False, True, True],
        ),
        transformer=WanTransformer3DModel(
            patch_size=(1, 2, 2),
            num_attention_heads=2,
            attention_head_dim=12,
            in_channels=16,
            out_channels=16,
            text_dim=32,
            freq_dim=256,
            ffn_dim=32,
            num_layers=1,
            cross_attn_norm=True,
            qk_norm="rms_norm_across_heads",
            rope_max_seq_len=32,
        ),
        scheduler=UniPCMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
        ),
    )


FAMILIES: dict[str, Callable[..., Any]] = {
    "sdxl": _sdxl,
    "flux-dev": lambda folder: _flux(folder, guided=True),
    "flux-schnell": lambda folder: _flux(folder, guided=False),
    "flux-kontext": lambda folder: _flux(folder, guided=True, kind=FluxKontextPipeline),
    "sd3": _sd3,
    "chroma": _chroma,
    "flux-2-klein": lambda folder: _flux_2_klein(folder, distilled=True),
    "flux-2-klein-base": lambda folder: _flux_2_klein(folder, distilled=False),
    "qwen-image": _qwen,
    "qwen-image-edit": partial(_qwen, edits=True),
    "z-image": _z_image,
    "sana": _sana,
    "lumina-2": _lumina_2,
    "pixart": _pixart,
    "wan": _wan,
}


def _autoencoder(channels: int = 4, **more: Any) -> AutoencoderKL:
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(8,) * 4,
        layers_per_block=1,
        latent_channels=channels,
        norm_num_groups=4,
        mid_block_add_attention=False,
        **more,
    )


def _clip_config(**more: Any) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=514,
        hidden_size=32,
        intermediate_size=64,
        projection_dim=32,
        num_hidden_layers=3,
        num_attention_heads=2,
        max_position_embeddings=_TOKENS,
        bos_token_id=512,
        eos_token_id=513,
        pad_token_id=513,
        **more,
    )


def _clip_tokenizer(folder: Path, number: int) -> Any:
    return byte_tokenizer(folder / f"tokenizer-source-{number}", tokens=_TOKENS)


def _qwen3_config(*, layers: int) -> Qwen3Config:
    return Qwen3Config(
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=layers,
        num_attention_heads=2,
        num_key_value_heads=2,
        vocab_size=300,
        max_position_embeddings=1024,
        head_dim=8,
    )


def _gemma() -> Gemma2Model:
    config = Gemma2Config(
        head_dim=16,
        hidden_size=8,
        intermediate_size=64,
        max_position_embeddings=2048,
        num_attention_heads=2,
        num_hidden_layers=1,
        num_key_value_heads=2,
        vocab_size=300,
    )
    return Gemma2Model(config).eval()


def _t5(width: int = 32) -> T5EncoderModel:
    config = T5Config(vocab_size=200, d_model=width, d_kv=8, d_ff=37, num_layers=2, num_heads=4)
    return T5EncoderModel(config).eval()


def _t5_tokenizer() -> T5Tokenizer:
    special = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0)]
    letters = [(chr(code), -3.0) for code in range(33, 127)]
    return T5Tokenizer(vocab=special + letters, extra_ids=0, model_max_length=300)


def _chat_tokenizer(*more: str) -> Qwen2Tokenizer:
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *more]
    vocabulary = {token: number for number, token in enumerate([*byte_letters(), *special])}
    tokenizer = Qwen2Tokenizer(
        vocab=vocabulary, merges=[], model_max_length=1024, additional_special_tokens=special[1:]
    )
    tokenizer.chat_template = _CHAT
    return tokenizer
