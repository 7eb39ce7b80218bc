"""A small latent diffusion model that draws coloured shapes, and everything that made it.

It is a stock Stable Diffusion pipeline in miniature: what the embedded default serves and what the tests draw with.
Importing this package imports nothing heavy; the modules that need torch or OpenCV import them themselves.
"""

from pathlib import Path

WEIGHTS_FOLDER = Path(__file__).parent / "weights"
"""A folder that `StableDiffusionPipeline.from_pretrained` loads."""
