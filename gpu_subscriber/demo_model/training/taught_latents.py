"""The target latents of the autoencoder: a downscaled image and a map of the shapes.

A freely trained autoencoder encodes outlines in small ripples of its latents, and a U-Net of this
size, trained for minutes, does not learn to generate these. So the latents are defined: three
channels are the colours, averaged over eight by eight pixels; the fourth has a disc per object,
whose level encodes its shape. The encoder learns to derive them from an image, the decoder to draw
the image from them. The drawback: the decoder supports no other shapes.
"""

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

from gpu_subscriber.demo_model.scenes import Scene, SceneObject, draw
from gpu_subscriber.demo_model.vocabulary import Shape

PIXELS_PER_LATENT = 8
DISC_SHARE = 0.92
"""Share of an object's diameter; slightly below 1, so that large neighbours do not touch."""
WEIGHED_SHARE = 1.05
"""Share of an object's diameter; slightly above 1, because the outline is the hard part."""
COLOUR_SCALE = 1.25
"""Scales the colours, in [-1, 1], to a standard deviation of about 1, which suits the U-Net."""
OBJECT_WEIGHT = 3.0
"""Weight of a cell of a medium-size object relative to one of flat background."""
WEIGHTED_DIAMETER = 0.32
"""Diameter of the object with exactly this weight, as a share of the image's side."""
SHAPE_LEVELS: dict[Shape, float] = {
    Shape.STAR: -2.4,
    Shape.TRIANGLE: -1.5,
    Shape.HEART: -0.6,
    Shape.CIRCLE: 0.6,
    Shape.SQUARE: 1.5,
    Shape.RING: 2.4,
}


def taught_latents(scene: Scene, side: int) -> npt.NDArray[np.float32]:
    """Return (4, side / 8, side / 8) for an image of `side` pixels."""
    cells = side // PIXELS_PER_LATENT
    # Eight times finer than the cells in total, since `draw` supersamples, too.
    colours = cv2.resize(draw(scene, 2 * cells), (cells, cells), interpolation=cv2.INTER_AREA)
    levels = _discs(
        scene, cells, ground=0.0, diameter_share=DISC_SHARE, level=lambda placed: SHAPE_LEVELS[placed.shape]
    )
    together = np.dstack([COLOUR_SCALE * (colours.astype(np.float32) / 127.5 - 1), levels])
    return np.ascontiguousarray(together.transpose(2, 0, 1), dtype=np.float32)


def object_weights(scene: Scene, side: int) -> npt.NDArray[np.float32]:
    """Return (1, side / 8, side / 8): 1 on flat background, more on objects, which cover little.

    Every object has the same total weight, however few cells it has: small outlines are not easier.
    """
    cells = side // PIXELS_PER_LATENT
    weights = _discs(
        scene,
        cells,
        ground=1.0,
        diameter_share=WEIGHED_SHARE,
        level=lambda placed: 1 + OBJECT_WEIGHT * (WEIGHTED_DIAMETER / placed.diameter) ** 2,
    )
    return weights[None]


def _discs(
    scene: Scene,
    cells: int,
    *,
    ground: float,
    diameter_share: float,
    level: Callable[[SceneObject], float],
) -> npt.NDArray[np.float32]:
    """Return (cells, cells): the level of each object on its disc, `ground` elsewhere.

    The disc has `diameter_share` of the object's diameter.
    """
    side = 8 * cells  # drawn finer, then averaged
    canvas = np.full((side, side), ground, np.float32)
    for placed in scene.objects:
        centre = (round(placed.x * side), round(placed.y * side))
        radius = round(placed.diameter * diameter_share * side / 2)
        cv2.circle(canvas, centre, radius, level(placed), cv2.FILLED)
    return cv2.resize(canvas, (cells, cells), interpolation=cv2.INTER_AREA).astype(np.float32)
