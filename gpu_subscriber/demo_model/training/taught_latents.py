"""The latents that the autoencoder is taught: the picture in small, and a map of which shape is where.

A free autoencoder hides outlines in small ripples of its latents, and a U-Net of this size, trained for minutes, does
not learn to draw them. So the latents are given: three channels are the colours, averaged over eight by eight pixels;
the fourth is a disc for each object whose level says which shape it is. The encoder learns to see this in a picture,
the decoder to draw the picture from it. The price: the decoder knows no other shapes.
"""

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

from gpu_subscriber.demo_model.scenes import Scene, SceneObject, draw
from gpu_subscriber.demo_model.vocabulary import Shape

PIXELS_PER_LATENT = 8
DISC_SHARE = 0.92
"""Of an object's diameter; a little less than all, so that large neighbours do not touch."""
WEIGHED_SHARE = 1.05
"""Of an object's diameter; a little more than all, for its outline is what is hard."""
COLOUR_SCALE = 1.25
"""Brings the colours, in [-1, 1], to a deviation of about 1, as the U-Net likes it."""
OBJECT_WEIGHT = 3.0
"""How much more a cell of an object of medium size counts than one of flat background."""
WEIGHTED_DIAMETER = 0.32
"""Of the object that has exactly this weight, as a share of the picture's side."""
SHAPE_LEVELS: dict[Shape, float] = {
    Shape.STAR: -2.4,
    Shape.TRIANGLE: -1.5,
    Shape.HEART: -0.6,
    Shape.CIRCLE: 0.6,
    Shape.SQUARE: 1.5,
    Shape.RING: 2.4,
}


def taught_latents(scene: Scene, side: int) -> npt.NDArray[np.float32]:
    """(4, side / 8, side / 8) for a picture of `side` pixels."""
    cells = side // PIXELS_PER_LATENT
    # Eight times finer than the cells in all: `draw` supersamples too.
    colours = cv2.resize(draw(scene, 2 * cells), (cells, cells), interpolation=cv2.INTER_AREA)
    levels = _discs(
        scene, cells, ground=0.0, diameter_share=DISC_SHARE, level=lambda placed: SHAPE_LEVELS[placed.shape]
    )
    together = np.dstack([COLOUR_SCALE * (colours.astype(np.float32) / 127.5 - 1), levels])
    return np.ascontiguousarray(together.transpose(2, 0, 1), dtype=np.float32)


def object_weights(scene: Scene, side: int) -> npt.NDArray[np.float32]:
    """(1, side / 8, side / 8): 1 on flat background, more on objects, which are a small part of each picture.

    Every object counts the same in all, however few cells it has: outlines are no easier where they are small.
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
    """(cells, cells): each object's level on a disc of that share of its diameter, `ground` elsewhere."""
    side = 8 * cells  # drawn finer, and averaged
    canvas = np.full((side, side), ground, np.float32)
    for placed in scene.objects:
        centre = (round(placed.x * side), round(placed.y * side))
        radius = round(placed.diameter * diameter_share * side / 2)
        cv2.circle(canvas, centre, radius, level(placed), cv2.FILLED)
    return cv2.resize(canvas, (cells, cells), interpolation=cv2.INTER_AREA).astype(np.float32)
