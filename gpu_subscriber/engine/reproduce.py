"""Generate one image again as recorded: the same batch size at each step, the same memory formats."""

from typing import Any

import torch
from torch.nn.attention import SDPBackend

from common.domain.models.model_files import Quantization
from common.domain.models.spec import ModelSpec
from common.domain.parameters import GenerationParameters
from common.domain.provenance import DrawConditions, Environment
from gpu_subscriber.engine.devices import Device
from gpu_subscriber.engine.engine_settings import EngineSettings
from gpu_subscriber.engine.errors import EngineError, ModelUnavailableError
from gpu_subscriber.engine.families.decoded import Decoded
from gpu_subscriber.engine.families.guided import GuidedFamily
from gpu_subscriber.engine.families.whole_pipeline import WholePipeline
from gpu_subscriber.engine.messages import NO_INPUTS, Inputs
from gpu_subscriber.engine.models.loading import Family, load_family
from gpu_subscriber.engine.models.model_cache import reason_of
from gpu_subscriber.engine.models.quantization import quantize
from gpu_subscriber.engine.tuning.memory_formats import set_memory_format

LARGEST_BATCH = 64
_QUANTIZED: dict[str | None, Quantization] = {"int8": "int8", "fp8": "fp8"}
MOST_THREADS = 256


def load_like(spec: ModelSpec, there: Environment) -> Family:
    """Load the model as in `there`, as far as this machine allows. Raises ModelUnavailableError."""
    settings: dict[str, Any] = {"device": "cpu" if there.device == "cpu" else "auto"}
    if there.dtype in ("float32", "float16", "bfloat16"):
        settings["dtype"] = there.dtype
    if there.threads is not None:
        settings["cpu_threads"] = max(1, min(there.threads, MOST_THREADS))
    device = Device.chosen(EngineSettings(models=(spec,), **settings))
    try:
        family = load_family(spec, device, compile_denoiser=there.compiled)
        if isinstance(family, GuidedFamily) and there.quantization in _QUANTIZED:
            family.quantize(_QUANTIZED[there.quantization], quantize)
    except Exception as error:
        raise ModelUnavailableError(spec.name, reason=reason_of(error)) from error
    if isinstance(family, GuidedFamily) and there.attention in SDPBackend.__members__:
        family.use_attention(there.attention)
    for name, network in family.origin.networks.items():
        is_channels_last = name in there.channels_last
        set_memory_format(network, torch.channels_last if is_channels_last else torch.contiguous_format)
    return family


@torch.inference_mode()
def generate_like(
    family: Family, parameters: GenerationParameters, there: DrawConditions, inputs: Inputs = NO_INPUTS
) -> tuple[bytes, DrawConditions]:
    """Return the pixels of the one image of `parameters` and the conditions of this generation.

    The pixels are height x width x 3 bytes, RGB, row by row. Only the number of Runs that shared a
    step matters, not which ones: copies of this Run fill the batch. Raises EngineError when the
    recorded steps do not fit the image.
    """
    if isinstance(family, WholePipeline):
        generated = family.generate(parameters, seed=parameters.seed, on_step=lambda *_: None)
        return _bytes_of(generated), family.draw_conditions(parameters)
    return _stepped(family, parameters, there, inputs)


def _stepped(
    family: GuidedFamily, parameters: GenerationParameters, there: DrawConditions, inputs: Inputs
) -> tuple[bytes, DrawConditions]:
    state = family.prepare(parameters, seed=parameters.seed, inputs=inputs)
    if len(there.batches) != len(state.timesteps):
        raise EngineError(f"the record has {len(there.batches)} steps, not {len(state.timesteps)}")
    for batch in there.batches:
        if not 1 <= batch <= LARGEST_BATCH:
            raise EngineError(f"the record has a batch of {batch}")
        state.advance(family.predict([state] * batch)[0])
        state.run_history.batches.append(batch)
    together = there.decoded_together
    if not 1 <= together <= LARGEST_BATCH:
        raise EngineError(f"the record has {together} images that were decoded together")
    if there.decoded_in_tiles:
        decoded = family.decode(state, tiled=True)
    else:
        decoded = family.decode_together([state] * together)[0]
    conditions = family.origin.draw_conditions(
        state.scheduler,
        state.run_history,
        decoded_in_tiles=there.decoded_in_tiles,
        decoded_together=together,
        loras=state.loras,
    )
    return _bytes_of(decoded), conditions


def _bytes_of(decoded: Decoded) -> bytes:
    return decoded.pixels.cpu().numpy().tobytes()
