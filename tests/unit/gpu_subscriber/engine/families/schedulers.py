"""The schedulers that checkpoints of Stable Diffusion and its fine-tunes have."""

from typing import Any

from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EDMDPMSolverMultistepScheduler,
    EDMEulerScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    LCMScheduler,
    PNDMScheduler,
    TCDScheduler,
    UniPCMultistepScheduler,
)

SD_BETAS: dict[str, Any] = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
ZERO_SNR: dict[str, Any] = {
    **SD_BETAS,
    "prediction_type": "v_prediction",
    "rescale_betas_zero_snr": True,
    "timestep_spacing": "trailing",
    "clip_sample": False,
}
SCHEDULERS: dict[str, Any] = {
    "sd 1.5": PNDMScheduler(**SD_BETAS, skip_prk_steps=True, steps_offset=1, set_alpha_to_one=False),
    "sd 2.1": DDIMScheduler(**SD_BETAS, prediction_type="v_prediction", clip_sample=False, steps_offset=1),
    "zero snr": DDIMScheduler(**ZERO_SNR),
    "turbo": EulerAncestralDiscreteScheduler(**SD_BETAS, timestep_spacing="trailing"),
    "lightning": EulerDiscreteScheduler(**SD_BETAS, timestep_spacing="trailing", prediction_type="epsilon"),
    "clean latents": DDIMScheduler(**SD_BETAS, prediction_type="sample"),
    "clean latents, euler": EulerDiscreteScheduler(**SD_BETAS, prediction_type="sample"),
    "karras": DPMSolverMultistepScheduler(**SD_BETAS, use_karras_sigmas=True),
    "exponential": DPMSolverMultistepScheduler(**SD_BETAS, use_exponential_sigmas=True),
    "sde, order 3": DPMSolverMultistepScheduler(**SD_BETAS, algorithm_type="sde-dpmsolver++", solver_order=3),
    "lcm": LCMScheduler(**SD_BETAS, original_inference_steps=30),
    "tcd": TCDScheduler(**SD_BETAS),
    "flow": UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0),
    "edm": EDMEulerScheduler(),
    "edm 2m": EDMDPMSolverMultistepScheduler(),
}
