"""How much longer a step with LoRAs or with a control network takes, for models that have them."""

from collections.abc import Callable, Sequence

import structlog

from common.domain.models.lora import LoraChoice
from common.domain.models.spec import ModelSpec
from common.domain.parameters import GenerationParameters
from common.domain.worker_report import NO_FACTORS, StepFactors
from gpu_subscriber.engine.devices import Device, is_out_of_memory
from gpu_subscriber.engine.errors import EngineError
from gpu_subscriber.engine.families.guided import GuidedFamily
from gpu_subscriber.engine.tuning.timing import timed_rounds
from gpu_subscriber.engine.tuning.trial_images import prepared

_log = structlog.get_logger()


Rounds = Callable[[Device, Callable[[], object]], Sequence[float]]
"""Returns the seconds of several runs of some work."""


def measure_step_factors(
    family: GuidedFamily,
    spec: ModelSpec,
    parameters: GenerationParameters,
    device: Device,
    *,
    timed: Rounds = timed_rounds,
) -> StepFactors:
    """Compare steps of one Run: plain, with the first LoRA, and with the first control network.

    A compiled network is not measured, because its first step with a LoRA compiles again.
    """
    if family.fills_batches or not (spec.loras or spec.controlnets):
        return NO_FACTORS

    def seconds(**changes: object) -> float:
        state = prepared(family, parameters.model_copy(update=changes))
        return min(timed(device, lambda: family.predict([state])))

    plain = seconds()

    def factor(**changes: object) -> float:
        """Return a step's time relative to a plain one; 1 if it cannot be taken, which fails its tasks only."""
        try:
            return max(1.0, seconds(**changes) / plain)
        except Exception as error:
            if not isinstance(error, EngineError) and not is_out_of_memory(error):
                raise
            _log.warning("step_factor_not_measured", model=spec.name, error=type(error).__name__)
        device.free_memory()
        return 1.0

    loras = control = 1.0
    if spec.loras:
        loras = factor(loras=(LoraChoice(name=spec.loras[0].name, scale=1.0),))
        family.loras.release()  # slots take memory only once a task needs them
    if spec.controlnets:
        control = factor(controlnet=spec.controlnets[0].name, control_image="grey", control_scale=1.0)
    _log.info("step_factors_measured", model=spec.name, loras=round(loras, 3), control=round(control, 3))
    return StepFactors(loras=loras, control=control)
