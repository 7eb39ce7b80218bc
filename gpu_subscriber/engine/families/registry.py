"""The families whose Runs share forward passes, by the names that catalog entries use."""

from gpu_subscriber.engine.families.chroma import Chroma
from gpu_subscriber.engine.families.flux import Flux
from gpu_subscriber.engine.families.flux_2_klein import Flux2Klein
from gpu_subscriber.engine.families.flux_kontext import FluxKontext
from gpu_subscriber.engine.families.guided import GuidedFamily
from gpu_subscriber.engine.families.lumina_2 import Lumina2
from gpu_subscriber.engine.families.qwen_image import QwenImage
from gpu_subscriber.engine.families.qwen_image_edit import QwenImageEdit
from gpu_subscriber.engine.families.sana import Sana
from gpu_subscriber.engine.families.stable_diffusion import StableDiffusion
from gpu_subscriber.engine.families.stable_diffusion_3 import StableDiffusion3
from gpu_subscriber.engine.families.stable_diffusion_xl import StableDiffusionXL
from gpu_subscriber.engine.families.z_image import ZImage

GUIDED_FAMILIES: dict[str, type[GuidedFamily]] = {
    "stable_diffusion": StableDiffusion,
    "stable_diffusion_xl": StableDiffusionXL,
    "stable_diffusion_3": StableDiffusion3,
    "flux": Flux,
    "sana": Sana,
    "chroma": Chroma,
    "flux_kontext": FluxKontext,
    "flux_2_klein": Flux2Klein,
    "qwen_image": QwenImage,
    "qwen_image_edit": QwenImageEdit,
    "z_image": ZImage,
    "lumina_2": Lumina2,
}
