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
from typing import Any

import torch
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import rescale_noise_cfg
from torch.nn.attention import SDPBackend, sdpa_kernel

from common.domain.models.model_files import Quantization
from common.domain.parameters import GenerationParameters
from common.domain.task_warnings import warnings_of
from gpu_subscriber.engine.batches.batch_planning import BatchKey
from gpu_subscriber.engine.batches.filled_batches import filled
from gpu_subscriber.engine.batches.graphed_passes import Forward, GraphedPasses
from gpu_subscriber.engine.conditions.control_networks import CONTROLNET
from gpu_subscriber.engine.conditions.ip_adapters import IpAdapter, IpAdapters
from gpu_subscriber.engine.conditions.prompt_embeddings import Kind, PromptEmbeddings, Text
from gpu_subscriber.engine.content_policy.pipeline_checker import PipelineChecker
from gpu_subscriber.engine.families.architecture import Architecture
from gpu_subscriber.engine.families.decoded import Decoded
from gpu_subscriber.engine.families.starting_image import Beginning, initial_latents
from gpu_subscriber.engine.loras.model_loras import ModelLoras
from gpu_subscriber.engine.messages import NO_INPUTS, Inputs
from gpu_subscriber.engine.models.model_provenance import (
    NO_FILES,
    NO_NETWORKS,
    LoadedFiles,
    ModelProvenance,
)
from gpu_subscriber.engine.models.prompt_tokens import PromptTokens
from gpu_subscriber.engine.runs.clean_estimate import clean_estimate
from gpu_subscriber.engine.runs.latent_colours import ColourFit, LatentColours
from gpu_subscriber.engine.runs.run import Batch, Denoising, Rows
from gpu_subscriber.engine.runs.seeds import seeded_generator

_DIGESTED_VALUES = 8
"""How many values of each tensor the digest of the weights contains."""


class GuidedFamily(Architecture):
    """Prepares, predicts and decodes Runs with the components of a loaded stock pipeline."""

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
        self.checker = PipelineChecker(pipeline)
        more = {f"controlnets/{name}": network for name, network in controlnets.items()}
        more |= {f"ip_adapters/{name}": adapter for name, adapter in ip_adapters.items()}
        self.origin = ModelProvenance(pipeline, files, more)
        self.controls = self.control_networks(controlnets)
        self.denoiser = getattr(pipeline, self.network)
        self.ip_adapters = IpAdapters(ip_adapters, self.denoiser)
        self.device = self.denoiser.device
        self.loras = loras or ModelLoras(pipeline, self.network)
        self._stored_colours = LatentColours.beside(files.folder, self.device)
        self._colour_fit: ColourFit | None = None
        self._tokens = PromptTokens(pipeline)
        self._fingerprint = _digest_of(self.origin.networks)
        self._prompts = PromptEmbeddings(self._encode)
        self._attention: list[SDPBackend] = []
        self._stacked: tuple[tuple[weakref.ref[Denoising], ...], list[Batch]] = ((), [])

    def batch_key(self, parameters: GenerationParameters) -> BatchKey:
        """Return what Runs with these parameters share their steps by."""
        return BatchKey.of(parameters, size=self.generated_size(parameters))

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
            size=self.generated_size(parameters),
            requested_size=(parameters.height, parameters.width),
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
        return Decoded.of(self.resized(image, state.requested_size), state.latents)

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
