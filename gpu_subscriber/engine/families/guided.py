"""The shared base of the families whose Runs share forward passes.

`prepare`, `predict` with the samplers, and `decode` together equal the stock pipeline's call with a
CPU generator seeded with the Run's seed: bit for bit when a Run is alone, to float rounding when it
shares a batch. A family states only how its architecture differs.
"""

import hashlib
import inspect
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import Any, ClassVar

import torch
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import rescale_noise_cfg
from diffusers.utils.torch_utils import randn_tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from common.domain.models.model_files import Quantization
from common.domain.parameters import GenerationParameters
from common.domain.task_warnings import warnings_of
from gpu_subscriber.engine.batches.filled_batches import filled
from gpu_subscriber.engine.batches.graphed_passes import Forward, GraphedPasses
from gpu_subscriber.engine.conditions.control_networks import CONTROLNET, ControlNetworks
from gpu_subscriber.engine.conditions.ip_adapters import IpAdapter, IpAdapters
from gpu_subscriber.engine.conditions.prompt_embeddings import Kind, PromptEmbeddings, Text
from gpu_subscriber.engine.families.decoded import Decoded, scaled, unscaled
from gpu_subscriber.engine.families.starting_image import Beginning, Starting, StartingImage, initial_latents
from gpu_subscriber.engine.loras.model_loras import ModelLoras
from gpu_subscriber.engine.messages import NO_INPUTS, Inputs
from gpu_subscriber.engine.models.model_provenance import (
    NO_FILES,
    NO_NETWORKS,
    LoadedFiles,
    ModelProvenance,
)
from gpu_subscriber.engine.models.prompt_tokens import PromptTokens
from gpu_subscriber.engine.models.samplers import new_scheduler
from gpu_subscriber.engine.runs.clean_estimate import clean_estimate
from gpu_subscriber.engine.runs.latent_colours import ColourFit, LatentColours
from gpu_subscriber.engine.runs.run import Denoising, Rows
from gpu_subscriber.engine.runs.seeds import seeded_generator

Batch = dict[str, Any]
"""What a denoiser receives besides latents and timesteps, for all rows of a forward pass."""

_DIGESTED_VALUES = 8
"""How many values of each tensor the digest of the weights contains."""


class GuidedFamily:
    """Prepares, predicts and decodes Runs with the components of a loaded stock pipeline.

    Subclasses override the methods up to `packed`. `size` is (height, width) in pixels. All rows
    and latents have a leading dimension of 1 for one Run.
    """

    network: ClassVar[str] = "transformer"
    """The component that predicts."""
    branches_share_a_pass: ClassVar[bool] = True
    """Whether both branches go through the denoiser in one forward pass, as in the stock call."""

    control_networks: ClassVar[type[ControlNetworks]] = ControlNetworks
    """How its control networks are called."""

    fills_batches: bool = False
    """Whether the denoiser is compiled, for some batch sizes only."""

    passes: GraphedPasses | None = None
    """The passes that are replayed as CUDA graphs."""

    def __init__(
        self,
        pipeline: Any,
        files: LoadedFiles = NO_FILES,
        *,
        loras: ModelLoras | None = None,
        controlnets: Mapping[str, Any] = NO_NETWORKS,
        ip_adapters: Mapping[str, IpAdapter] = NO_NETWORKS,
    ) -> None:
        self.pipeline = pipeline
        more = {f"controlnets/{name}": network for name, network in controlnets.items()}
        more |= {f"ip_adapters/{name}": adapter for name, adapter in ip_adapters.items()}
        self.origin = ModelProvenance(pipeline, files, more)
        self.controls = self.control_networks(controlnets)
        self.denoiser: Any = getattr(pipeline, self.network)
        self.ip_adapters = IpAdapters(ip_adapters, self.denoiser)
        self.device: torch.device = self.denoiser.device
        self.loras = loras or ModelLoras(pipeline, self.network)
        self._stored_colours = LatentColours.beside(files.folder, self.device)
        self._colour_fit: ColourFit | None = None
        self._tokens = PromptTokens(pipeline)
        self._fingerprint = _digest_of(self.origin.networks)
        self._prompts = PromptEmbeddings(self._encode)
        self._attention: list[SDPBackend] = []
        self._stacked: tuple[tuple[weakref.ref[Denoising], ...], list[Batch]] = ((), [])

    def encode(self, texts: list[str], kind: Kind) -> list[Rows]:
        """Return what the denoiser receives of each prompt, as the stock call encodes it: in one pass."""
        raise NotImplementedError

    def encode_negative(self, texts: list[str | None], kind: Kind) -> list[Rows]:
        """Return what the denoiser receives of negative prompts; None stands for an omitted one."""
        return self.encode([text or "" for text in texts], kind)

    def kinds(self, parameters: GenerationParameters, inputs: Inputs) -> tuple[Kind, Kind]:
        """Return how the negative prompt and the prompt are encoded, apart from LoRAs."""
        return Kind(is_negative=True), Kind()

    def extra_rows(self, parameters: GenerationParameters, dtype: torch.dtype) -> Rows:
        """Return what the denoiser receives besides the text, such as sizes; the same in each branch."""
        return {}

    @property
    def latent_channels(self) -> int:
        """The channels of the latents."""
        channels: int = self.denoiser.config.in_channels
        return channels

    def noise(
        self, parameters: GenerationParameters, generator: torch.Generator, dtype: torch.dtype
    ) -> torch.Tensor:
        """Return the seeded noise, in the shape in which the denoiser takes latents."""
        scale = self.pipeline.vae_scale_factor
        shape = (1, self.latent_channels, parameters.height // scale, parameters.width // scale)
        return randn_tensor(shape, generator=generator, device=self.device, dtype=dtype)

    def schedule(self, parameters: GenerationParameters, noise: torch.Tensor) -> Any:
        """Return a new scheduler with its timesteps set, on the CPU."""
        return new_scheduler(parameters.sampler, self.pipeline.scheduler, steps=parameters.steps)

    def stack(self, rows: Sequence[Rows]) -> Batch:
        """Return what the denoiser receives of a batch, from each Run's rows.

        Called again only when the batch changes.
        """
        return {name: torch.cat([row[name] for row in rows]) for name in rows[0]}

    def forward(
        self, latents: torch.Tensor, timesteps: torch.Tensor, rows: Batch, size: tuple[int, int]
    ) -> torch.Tensor:
        """Run the denoiser once: (B, …) latents, (B,) float32 timesteps, rows of B → (B, …) predictions."""
        raise NotImplementedError

    def guide(self, negative: torch.Tensor, positive: torch.Tensor, scale: float) -> torch.Tensor:
        """Return the guided prediction of one Run.

        The scale is a Python float, as in the stock call: a tensor of scales would round differently in
        half precision.
        """
        return negative + scale * (positive - negative)

    def controlled(self, latents: torch.Tensor, timesteps: torch.Tensor, rows: Batch) -> Batch:
        """Return the rows with a control network's residuals, if the batch has one."""
        return self.controls.with_residuals(latents, timesteps, rows) if CONTROLNET in rows else rows

    def unpacked(self, latents: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """Return a Run's latents as a grid, (1, C, h, w), still scaled."""
        return latents

    def unscaled(self, grid: torch.Tensor) -> torch.Tensor:
        """Return what the autoencoder decodes, from a grid of latents."""
        return unscaled(grid, self.pipeline.vae.config)

    def decode_latents(self, latents: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Run the autoencoder's decoder: `unscaled`'s result → (1, 3, H, W) in about [-1, 1]."""
        image: torch.Tensor = self.pipeline.vae.decode(latents, return_dict=False)[0]
        return image

    def starting_image(
        self, parameters: GenerationParameters, inputs: Inputs, generator: torch.Generator
    ) -> Starting | None:
        """Return the picture that a Run starts from, encoded; None if it starts from noise."""
        return StartingImage.encoded(self, parameters, inputs, generator)

    def skipped_steps(self, parameters: GenerationParameters) -> int:
        """Return how many of the first steps a Run that starts from a picture leaves out."""
        return parameters.steps - parameters.computed_steps

    def encode_image(self, pixels: torch.Tensor) -> Any:
        """Run the autoencoder's encoder: (1, 3, H, W) in [-1, 1] → its output, with (1, C, h, w) latents."""
        vae = self.pipeline.vae
        return vae.encode(pixels.to(vae.dtype))

    def scaled(self, latents: torch.Tensor) -> torch.Tensor:
        """Return a grid of latents in the denoiser's scale: the inverse of `unscaled`."""
        return scaled(latents, self.pipeline.vae.config)

    def packed(self, grid: torch.Tensor) -> torch.Tensor:
        """Return a grid of latents in the denoiser's shape: the inverse of `unpacked`."""
        return grid

    def resized(self, image: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """Return a decoded image in the requested size, where the stock call generates in another one."""
        return image

    @property
    def decodes_beside_steps(self) -> bool:
        """Whether decoding changes nothing that a step or a preparation uses."""
        return True

    @property
    def decodes_in_batches(self) -> bool:
        """Whether an image does not depend on the others that are decoded with it."""
        return True

    def check(self, image: torch.Tensor) -> None:
        """Raise ContentFilteredError if the model's own filter refuses a decoded image."""

    def encode_together(self, asked: Sequence[tuple[GenerationParameters, Inputs]]) -> list[list[Rows]]:
        """Return the branches of one or more Runs for `prepare`: what they read of texts and pictures.

        The texts of several Runs share passes of the text encoders.
        """
        if len(asked) == 1:
            return [self.encode_alone(*asked[0])]
        texts = [self._texts_of(parameters, inputs) for parameters, inputs in asked]
        rows = self._prompts.together(chain.from_iterable(texts))
        return [
            self._with_reference([rows[text] for text in own], *each)
            for own, each in zip(texts, asked, strict=True)
        ]

    def encode_alone(self, parameters: GenerationParameters, inputs: Inputs = NO_INPUTS) -> list[Rows]:
        """Return what the denoiser receives of the negative prompt, with guidance, and of the prompt."""
        branches = self._prompts.alone(self._texts_of(parameters, inputs))
        return self._with_reference(branches, parameters, inputs)

    def prepare(
        self,
        parameters: GenerationParameters,
        *,
        seed: int,
        inputs: Inputs = NO_INPUTS,
        encoded: Sequence[Rows] | None = None,
    ) -> Denoising:
        """Do everything up to the first step; raises what the encoding of prompts and pictures raises.

        `encoded` are the branches, if they were encoded before.
        """
        loras = self.loras.chosen(parameters.loras)
        if encoded is None:
            encoded = self.encode_alone(parameters, inputs)
        dtype = self.denoiser.dtype
        extra = self.extra_rows(parameters, dtype)
        generator = seeded_generator(seed)
        extra |= self.controls.prepared(parameters, inputs, family=self, generator=generator)
        picture = self.starting_image(parameters, inputs, generator)
        noise = self.noise(parameters, generator, dtype)
        scheduler = self.schedule(parameters, noise)
        skipped = 0 if picture is None else self.skipped_steps(parameters) * scheduler.order
        if hasattr(scheduler, "set_begin_index"):
            scheduler.set_begin_index(skipped)
        timesteps = scheduler.timesteps[skipped:]
        begun = Beginning(latents=initial_latents(noise, scheduler))
        if picture is not None:
            begun = picture.begun(noise, scheduler, timesteps, generator)
        extra |= begun.rows
        return Denoising(
            latents=begun.latents,
            scheduler=scheduler,
            timesteps=timesteps,
            device_timesteps=timesteps.to(self.device, torch.float32),
            branches=tuple({**rows, **extra} for rows in encoded),
            guidance_scale=parameters.guidance_scale,
            guidance_rescale=parameters.guidance_rescale,
            size=(parameters.height, parameters.width),
            generator=generator,
            step_arguments=_step_arguments(scheduler, generator, eta=parameters.eta),
            fingerprint="+".join([self._fingerprint, *(lora.sha256 for lora in loras)]),
            loras=loras,
            controlnet=parameters.controlnet,
            after_step=begun.after_step,
            warnings=warnings_of(
                parameters, max_prompt_tokens=self._tokens.limit, token_starts=self._tokens.starts
            ),
        )

    def predict(self, states: Sequence[Denoising]) -> list[torch.Tensor]:
        """Return one guided prediction per state, from a forward pass that they share. Changes no state.

        Each row is at its own timestep. A batch is [negatives…, positives…], unless each branch has a
        pass of its own.
        """
        asked, states = states, filled(states) if self.fills_batches else states
        latents = torch.cat([state.model_input for state in states])
        timesteps = torch.stack([state.device_timesteps[state.step_index] for state in states])
        branches, passes, size = len(states[0].branches), self._passes_of(states), states[0].size
        repeats = branches // len(passes)
        latents, timesteps = torch.cat([latents] * repeats), timesteps.repeat(repeats)
        self.loras.select([state.loras for state in states], repeats=repeats)
        with sdpa_kernel(self._attention, set_priority=True) if self._attention else nullcontext():
            forward = self._forward_of(states)
            predicted = torch.cat([forward(latents, timesteps, rows, size) for rows in passes]).split(1)
        if branches == 1:
            return list(predicted[: len(asked)])
        negatives, positives = predicted[: len(states)], predicted[len(states) :]
        return [
            self._guided(negative, positive, state)
            for state, negative, positive in zip(asked, negatives, positives, strict=False)
        ]

    def decode(self, state: Denoising, *, tiled: bool = False) -> Decoded:
        """Return the image of a finished state; `tiled` trades time for memory."""
        if not tiled:
            return self.decode_together([state])[0]
        self.pipeline.vae.enable_tiling()
        try:
            return self.decode_together([state])[0]
        finally:
            self.pipeline.vae.disable_tiling()

    def decode_together(self, states: Sequence[Denoising]) -> list[Decoded]:
        """Return the images of finished states of one size, decoded in one pass.

        Raises ContentFilteredError if the filter refuses any of them.
        """
        grids = torch.cat([self.unpacked(state.latents, state.size) for state in states])
        # A copy, so that a second attempt, in tiles, draws the same noise.
        generator = torch.Generator("cpu").set_state(states[0].generator.get_state())
        images = self.decode_latents(self.unscaled(grids.to(self.pipeline.vae.dtype)), generator)
        return [
            self._finished(state, grid, image)
            for state, grid, image in zip(states, grids.split(1), images.split(1), strict=True)
        ]

    def _finished(self, state: Denoising, grid: torch.Tensor, image: torch.Tensor) -> Decoded:
        self.check(image)
        if self._colour_fit is not None and state.is_done:
            self._colour_fit.learn(grid, image)
        return Decoded.of(self.resized(image, state.size), state.latents)

    def preview(self, state: Denoising, prediction: torch.Tensor) -> torch.Tensor:
        """Return a small picture (h, w, 3) uint8 of the clean latents that a prediction implies.

        The first one measures the autoencoder's colours; the warm-up asks for it.
        """
        grid = self.unpacked(clean_estimate(state, prediction), state.size)
        if self._stored_colours is not None:
            return self._stored_colours.thumbnail(grid)
        if self._colour_fit is None:
            self._colour_fit = ColourFit(self._decoded_grids, like=grid)
        return self._colour_fit.colours.thumbnail(grid)

    def quantize(self, kind: Quantization, quantize: Callable[[torch.nn.Module, Quantization], None]) -> None:
        """Replace the denoiser's weights by quantized ones, which are other weights for a checkpoint."""
        quantize(self.denoiser, kind)
        self._fingerprint = f"{self._fingerprint}+{kind}"
        self.origin.quantization = kind

    def use_attention(self, kernel: str | None, *, only: bool = False) -> None:
        """Let the denoiser use this kernel of torch for attention; None leaves the choice to torch.

        Batches whose rows have different lengths are masked, which not every kernel can compute: other
        kernels compute them, unless it is the `only` one.
        """
        others = [] if only else [SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
        self._attention = [] if kernel is None else [getattr(SDPBackend, kernel), *others]
        self.origin.attention = kernel

    def drop_prompts(self) -> None:
        """Drop the cached embeddings."""
        self._prompts.clear()
        self.ip_adapters.clear()

    def release(self) -> None:
        """Drop what is cached on the device besides the weights."""
        self.drop_prompts()
        self.passes = None
        self.loras.release()
        self._stacked = ((), [])

    def _decoded_grids(self, grids: torch.Tensor) -> torch.Tensor:
        latents = self.unscaled(grids.to(self.pipeline.vae.dtype))
        return self.decode_latents(latents, torch.Generator("cpu").manual_seed(0))

    def _guided(self, negative: torch.Tensor, positive: torch.Tensor, state: Denoising) -> torch.Tensor:
        guided = self.guide(negative, positive, state.guidance_scale)
        if not state.guidance_rescale:
            return guided
        rescaled: torch.Tensor = rescale_noise_cfg(guided, positive, state.guidance_rescale)
        return rescaled

    def _texts_of(self, parameters: GenerationParameters, inputs: Inputs) -> list[Text]:
        """Return the negative prompt, with guidance, and the prompt."""
        loras = self.loras.of_encoders(self.loras.chosen(parameters.loras))
        negative, prompt = (replace(kind, loras=loras) for kind in self.kinds(parameters, inputs))
        texts = [
            Text(content=parameters.negative_prompt, kind=negative),
            Text(content=parameters.prompt, kind=prompt),
        ]
        return texts[-parameters.passes_per_step :]

    def _with_reference(
        self, branches: Sequence[Rows], parameters: GenerationParameters, inputs: Inputs
    ) -> list[Rows]:
        """Add what each branch reads of a reference picture."""
        rows = self.ip_adapters.rows_of(parameters, inputs)
        return [{**texts, **picture} for texts, picture in zip(branches, rows, strict=True)]

    def _encode(self, texts: list[Any], kind: Kind) -> list[Rows]:
        """Encode texts in one pass, in the denoiser's precision: text encoders may have another one."""
        with self.loras.encoding(kind.loras):
            encoded = self.encode_negative(texts, kind) if kind.is_negative else self.encode(texts, kind)
        dtype = self.denoiser.dtype
        return [
            {name: row.to(dtype) if row.is_floating_point() else row for name, row in rows.items()}
            for rows in encoded
        ]

    def _forward_of(self, states: Sequence[Denoising]) -> Forward:
        """Return `forward`, replayed as a graph where there is one. Graphs contain no LoRAs."""
        if self.passes is None or any(state.loras for state in states):
            return self.forward
        return partial(self.passes.run, self.forward)

    def _passes_of(self, states: Sequence[Denoising]) -> list[Batch]:
        """Return the stacked rows of each forward pass, cached while the batch is the same."""
        batch = tuple(weakref.ref(state) for state in states)
        if self._stacked[0] != batch:
            branches = list(zip(*(state.branches for state in states), strict=True))
            passes = [tuple(chain(*branches))] if self.branches_share_a_pass else branches
            control = {} if states[0].controlnet is None else {CONTROLNET: states[0].controlnet}
            self._stacked = (batch, [self.stack(rows) | control for rows in passes])
        return self._stacked[1]


def padded(rows: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Stack (1, L, …) rows of different lengths: (B, longest, …), zeros at the end of shorter ones.

    Also returns the mask of the valid places, (B, longest) bool; None if all of them are valid.
    """
    lengths = [row.shape[1] for row in rows]
    if min(lengths) == max(lengths):
        return torch.cat(list(rows)), None
    stacked = rows[0].new_zeros(len(rows), max(lengths), *rows[0].shape[2:])
    mask = torch.zeros(stacked.shape[:2], dtype=torch.bool, device=stacked.device)
    for row, length, values, valid in zip(rows, lengths, stacked, mask, strict=True):
        values[:length] = row[0]
        valid[:length] = True
    return stacked, mask


def _step_arguments(scheduler: Any, generator: torch.Generator, *, eta: float) -> dict[str, Any]:
    """Return `prepare_extra_step_kwargs` of the stock call.

    Takes the scheduler, because the pipeline's own scheduler is not this Run's.
    """
    accepted = inspect.signature(scheduler.step).parameters
    arguments = {"eta": eta, "generator": generator}
    return {name: value for name, value in arguments.items() if name in accepted}


def _digest_of(networks: dict[str, torch.nn.Module]) -> str:
    """Return a digest of a few values of every weight: cheap, and changed by any training."""
    digest = hashlib.sha256()
    for name, network in networks.items():
        digest.update(name.encode())
        values = [weight.detach().flatten()[:_DIGESTED_VALUES].float() for weight in network.parameters()]
        if values:
            digest.update(torch.cat(values).cpu().numpy().tobytes())
    return digest.hexdigest()[:16]
