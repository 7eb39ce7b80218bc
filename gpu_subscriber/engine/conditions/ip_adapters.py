"""IP-Adapters: Runs that follow the content and the style of a reference picture.

Equal to diffusers' pipelines with an IP-Adapter. The picture is encoded once, to a few tokens. In
each layer of cross-attention the latents attend to these tokens besides those of the prompt, and
the result is multiplied by each row's scale. So Runs with different scales, pictures and adapters
share a batch, and so do Runs without any: they add zeros.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from cachetools import LRUCache
from diffusers.models.attention_processor import Attention
from diffusers.models.embeddings import ImageProjection
from PIL import Image
from torch.nn.functional import scaled_dot_product_attention
from transformers import CLIPImageProcessorPil

from common.domain.parameters import GenerationParameters
from gpu_subscriber.engine.errors import EngineError, MissingInputError
from gpu_subscriber.engine.messages import Inputs, Picture
from gpu_subscriber.engine.runs.run import Batch, Rows

_CACHED_BYTES = 64 * 1024 * 1024
"""Tokens of a picture take 4 to 300 kB for each pass."""
_TOKENS, _SCALE = "reference_tokens/", "reference_scale/"
"""The names of an adapter's rows begin with these."""


class IpAdapter(torch.nn.Module):
    """The networks of one adapter: adapters can share an image encoder.

    `layers` are the weights of keys and values of each cross-attention, in the denoiser's order.
    """

    def __init__(
        self, *, encoder: Any, projection: Any, layers: Sequence[tuple[torch.Tensor, torch.Tensor]]
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.projection = projection
        self.keys = torch.nn.ModuleList(_linear(key) for key, _ in layers)
        self.values = torch.nn.ModuleList(_linear(value) for _, value in layers)

    @property
    def reads_parts(self) -> bool:
        """Whether it reads the parts of a picture, which CLIP's layer before the last one represents."""
        return not isinstance(self.projection, ImageProjection)

    def tokens_of(self, picture: Picture, *, passes: int) -> tuple[torch.Tensor, ...]:
        """Return the tokens of a picture for each pass of a step, (1, tokens, width).

        Of two passes the first is the negative one, which reads an empty picture. Both are projected
        together, as in the stock calls: matrix products round by the size of the batch.
        """
        pixels = self._pixels_of(picture)
        seen = self._encoded(pixels)
        nothing = self._encoded(torch.zeros_like(pixels)) if self.reads_parts else torch.zeros_like(seen)
        tokens: torch.Tensor = self.projection(torch.cat([nothing, seen][-passes:]))
        return tuple(row.clone() for row in tokens.split(1))

    def _pixels_of(self, picture: Picture) -> torch.Tensor:
        side = self.encoder.config.image_size
        processor = CLIPImageProcessorPil(size={"shortest_edge": side}, crop_size=side)
        image = Image.frombytes("RGB", (picture.width, picture.height), picture.pixels)
        pixels: torch.Tensor = processor(image, return_tensors="pt").pixel_values
        return pixels.to(self.encoder.device, self.encoder.dtype)

    def _encoded(self, pixels: torch.Tensor) -> torch.Tensor:
        encoded: torch.Tensor = (
            self.encoder(pixels, output_hidden_states=True).hidden_states[-2]
            if self.reads_parts
            else self.encoder(pixels).image_embeds
        )
        return encoded


@dataclass(slots=True)
class _Selection:
    """What the rows of the next pass read, shared by all layers; empty if no row reads a picture."""

    applied: tuple[tuple[IpAdapter, torch.Tensor, torch.Tensor], ...] = ()
    """Each adapter with the tokens (B, tokens, width) and the scales (B, 1, 1) of all rows."""


class IpAdapters:
    """The adapters of a model by name, applied in the denoiser's cross-attention."""

    def __init__(self, adapters: Mapping[str, IpAdapter], denoiser: Any) -> None:
        self.adapters = adapters
        self._selection = _Selection()
        self._cache: LRUCache[object, tuple[torch.Tensor, ...]] = LRUCache(
            _CACHED_BYTES, getsizeof=lambda tokens: sum(row.nbytes for row in tokens)
        )
        for number, attention in enumerate(cross_attentions(denoiser) if adapters else ()):
            layer = _Layer(number=number, heads=attention.heads, selection=self._selection)
            attention.to_q.register_forward_hook(layer.keep_query)
            attention.to_out[0].register_forward_pre_hook(layer.add_attention)

    def rows_of(self, parameters: GenerationParameters, inputs: Inputs) -> list[Rows]:
        """Return what each pass of a Run reads of its picture: empty rows without one.

        Each picture is encoded alone, so the rows are the same in every batch.
        """
        name, passes = parameters.ip_adapter, parameters.passes_per_step
        if name is None:
            return [{} for _ in range(passes)]
        if name not in self.adapters:
            raise EngineError(f"the model has no IP-Adapter {name!r}")
        picture = inputs.get("reference_image")
        if picture is None:
            raise MissingInputError("`reference_image` was not delivered to the engine")
        key = (name, parameters.reference_image, picture.width, picture.height, passes)
        tokens = self._cache.get(key)
        if tokens is None:
            tokens = self.adapters[name].tokens_of(picture, passes=passes)
            self._cache[key] = tokens
        scale = torch.tensor([parameters.reference_scale], device=tokens[0].device)
        return [{f"{_TOKENS}{name}": row, f"{_SCALE}{name}": scale} for row in tokens]

    def select(self, rows: Batch) -> Batch:
        """Choose what the next pass of the denoiser reads; return the other rows."""
        self._selection.applied = tuple(
            (self.adapters[name], tokens, rows[f"{_SCALE}{name}"].view(-1, 1, 1))
            for row, tokens in rows.items()
            if (name := row.removeprefix(_TOKENS)) != row
        )
        return {name: row for name, row in rows.items() if not name.startswith((_TOKENS, _SCALE))}

    def clear(self) -> None:
        """Drop the cached tokens."""
        self._cache.clear()
        self._selection.applied = ()


def with_same_adapters(rows: Sequence[Rows]) -> list[Rows]:
    """Give the rows of a batch the same adapters: zeros where a Run has another one, or none."""
    examples = {
        name: row for each in rows for name, row in each.items() if name.startswith((_TOKENS, _SCALE))
    }
    return [{**{name: torch.zeros_like(row) for name, row in examples.items()}, **each} for each in rows]


def cross_attentions(denoiser: Any) -> list[Any]:
    """Return a UNet's layers that attend to the prompt, in the order of the files of adapters."""
    return [
        module
        for name, module in denoiser.named_modules()
        if name.endswith(".attn2") and isinstance(module, Attention)
    ]


@dataclass(slots=True, kw_only=True, eq=False)
class _Layer:
    """Adds to the result of one cross-attention, before its last projection.

    The hooks leave the layer's own computation to diffusers. So LoRAs, fused projections, masks and
    compiled blocks work as without an adapter.
    """

    number: int
    heads: int
    selection: _Selection
    query: torch.Tensor | None = None

    def keep_query(self, _module: Any, _given: Any, query: torch.Tensor) -> None:
        if self.selection.applied:
            self.query = query

    def add_attention(self, _module: Any, given: tuple[torch.Tensor]) -> tuple[torch.Tensor] | None:
        query, self.query = self.query, None
        if query is None:
            return None
        (attended,) = given
        for adapter, tokens, scale in self.selection.applied:
            key = self._by_head(adapter.keys[self.number](tokens))
            value = self._by_head(adapter.values[self.number](tokens))
            found = scaled_dot_product_attention(self._by_head(query), key, value)
            found = found.transpose(1, 2).flatten(2)
            # In float32, as a Python float would be multiplied.
            attended = attended + (scale * found.float()).to(attended.dtype)
        return (attended,)

    def _by_head(self, given: torch.Tensor) -> torch.Tensor:
        return given.unflatten(-1, (self.heads, -1)).transpose(1, 2)


def _linear(weight: torch.Tensor) -> torch.nn.Linear:
    width, given = weight.shape
    linear = torch.nn.Linear(given, width, bias=False, device="meta")
    linear.weight = torch.nn.Parameter(weight, requires_grad=False)
    return linear
