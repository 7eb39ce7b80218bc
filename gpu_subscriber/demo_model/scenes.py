"""Layout of a description as a scene, and drawing of the scene.

All randomness comes from the given `random.Random`: the same seed gives the same pixels.
"""

import itertools
import math
import random
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from gpu_subscriber.demo_model.descriptions import Description, Item, descriptions
from gpu_subscriber.demo_model.vocabulary import (
    BACKGROUND_RGB,
    COLOUR_RGB,
    DIAMETERS,
    POSITION_CENTRES,
    Background,
    Colour,
    Position,
    Relation,
    Shape,
    Size,
)

MARGIN = 0.02
"""Free border around every object, as a share of the picture's side."""
SUPERSAMPLING = 4

GROUP_CENTRES: dict[int, tuple[tuple[float, float], ...]] = {
    2: ((0.27, 0.5), (0.73, 0.5)),
    3: ((0.5, 0.27), (0.27, 0.73), (0.73, 0.73)),
    4: ((0.27, 0.27), (0.73, 0.27), (0.27, 0.73), (0.73, 0.73)),
}
PAIR_CENTRES: dict[Relation, tuple[tuple[float, float], tuple[float, float]]] = {
    Relation.ABOVE: ((0.5, 0.25), (0.5, 0.75)),
    Relation.BELOW: ((0.5, 0.75), (0.5, 0.25)),
    Relation.LEFT_OF: ((0.25, 0.5), (0.75, 0.5)),
    Relation.RIGHT_OF: ((0.75, 0.5), (0.25, 0.5)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneObject:
    """An object in a scene.

    `x`, `y` and `diameter` are shares of the image's side; y grows downwards.
    """

    shape: Shape
    colour: Colour
    x: float
    y: float
    diameter: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    background: Background
    objects: tuple[SceneObject, ...]


def lay_out(description: Description, random_source: random.Random) -> Scene:
    """Return one of the many scenes that match the description.

    Open choices have defaults: medium size, centered, in reading order. Only the background is
    random. A small network learns a default much faster than a choice.
    """
    objects = tuple(
        _placed(item, centre, random_source)
        for item, centre in _items_and_centres(description, random_source)
    )
    background = description.background or random_source.choice(list(Background))
    return Scene(background=background, objects=objects)


def draw(scene: Scene, side: int) -> npt.NDArray[np.uint8]:
    """Draw a scene as (side, side, 3) RGB.

    It is drawn larger and averaged, because OpenCV's antialiasing makes circles uneven.
    """
    scale = side * SUPERSAMPLING
    picture = np.full((scale, scale, 3), BACKGROUND_RGB[scene.background], np.uint8)
    for scene_object in scene.objects:
        centre = (scene_object.x, scene_object.y)
        contours = [
            np.round((outline * scene_object.diameter / 2 + centre) * scale).astype(np.int32)
            for outline in OUTLINES[scene_object.shape]
        ]
        cv2.fillPoly(picture, contours, COLOUR_RGB[scene_object.colour])
    return cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def lay_out_random(count: int, seed: int) -> tuple[list[Description], list[Scene]]:
    """Return random descriptions, none held out, with a scene of each."""
    random_source = random.Random(seed)
    asked = list(itertools.islice(descriptions(seed, held_out=False), count))
    return asked, [lay_out(description, random_source) for description in asked]


def _items_and_centres(
    description: Description, random_source: random.Random
) -> list[tuple[Item, tuple[float, float]]]:
    if description.relation is not None:
        relation = description.relation
        if relation is Relation.BESIDE:
            relation = Relation.LEFT_OF  # reading order
        return list(zip(description.items, PAIR_CENTRES[relation], strict=True))
    item = description.items[0]
    if description.count > 1:
        return [(item, centre) for centre in GROUP_CENTRES[description.count]]
    position = description.position or Position.CENTER
    return [(item, POSITION_CENTRES[position])]


def _placed(item: Item, centre: tuple[float, float], random_source: random.Random) -> SceneObject:
    size = item.size or Size.MEDIUM
    diameter = random_source.uniform(*DIAMETERS[size])
    x, y = (_jittered(coordinate, diameter, random_source) for coordinate in centre)
    return SceneObject(shape=item.shape, colour=item.colour, x=x, y=y, diameter=diameter)


def _jittered(coordinate: float, diameter: float, random_source: random.Random) -> float:
    radius = diameter / 2 + MARGIN
    return min(max(coordinate + random_source.uniform(-0.03, 0.03), radius), 1 - radius)


def _circle(radius: float = 1.0) -> npt.NDArray[np.float64]:
    angles = np.linspace(0, 2 * math.pi, 96, endpoint=False)
    return radius * np.stack([np.cos(angles), np.sin(angles)], 1)


def _star() -> npt.NDArray[np.float64]:
    angles = np.arange(10) * math.pi / 5 - math.pi / 2
    radii = np.where(np.arange(10) % 2 == 0, 1.0, 0.42)
    return np.stack([radii * np.cos(angles), radii * np.sin(angles)], 1) * 1.05


def _heart() -> npt.NDArray[np.float64]:
    """Return the parametric heart curve, scaled to the box of the unit circle."""
    angle = np.linspace(0, 2 * math.pi, 96, endpoint=False)
    x = 16 * np.sin(angle) ** 3
    y = -(13 * np.cos(angle) - 5 * np.cos(2 * angle) - 2 * np.cos(3 * angle) - np.cos(4 * angle))
    return np.stack([x / 16, (y - 2.5) / 15.5], 1)


OUTLINES: dict[Shape, tuple[npt.NDArray[np.float64], ...]] = {
    Shape.CIRCLE: (_circle(),),
    Shape.SQUARE: (np.array([(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)]),),
    Shape.TRIANGLE: (np.array([(0.0, -0.95), (1.0, 0.85), (-1.0, 0.85)]),),
    Shape.STAR: (_star(),),
    Shape.HEART: (_heart(),),
    Shape.RING: (_circle(), _circle(0.52)),
}
"""Closed outlines, each (n, 2), in units of the radius around the centre; a second one is a hole."""
