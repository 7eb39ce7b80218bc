"""A small latent diffusion model that generates coloured shapes, with its training code.

It is a miniature Stable Diffusion pipeline of stock classes: the embedded default model, which the
tests use, too. Importing this package imports no heavy libraries; the modules that need torch or
OpenCV import them themselves.
"""

from pathlib import Path

WEIGHTS_FOLDER = Path(__file__).parent / "weights"
"""The folder for `StableDiffusionPipeline.from_pretrained`."""
