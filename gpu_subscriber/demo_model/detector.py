"""Detection of coloured shapes in an image by plain geometry, to evaluate the model.

It uses no network and none of the drawing code, so that it is independent of the training. An
object is an area that differs from the ground. Its outline is where the colour is half-way between
the object's and the ground's, so that soft edges do not make objects smaller. Its shape is
classified by its radial signature: the distance from the centre to the outline in each direction,
compared with that of ideal figures. A blurred star still has five waves, a rounded square four, a
circle none.
"""

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
import numpy.typing as npt

from gpu_subscriber.demo_model.vocabulary import BACKGROUND_RGB, COLOUR_RGB, Background, Colour, Shape

Mask = npt.NDArray[np.uint8]
Picture = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]

LARGEST_COLOUR_DISTANCE = 90.0
"""Euclidean, in 8-bit RGB. The closest two object colours, red and orange, are 115 apart."""
LARGEST_BACKGROUND_DISTANCE = 30.0
SMALLEST_CONTRAST = 60.0
"""Smallest distance of an object from the ground; the closest colours of the two are 90 apart."""
SMALLEST_AREA = 0.004
"""Smallest area of an object as a share of the image; a small star has 0.01."""
SMALLEST_HOLE = 0.06
"""Smallest hole of a ring as a share of its filled outline; a drawn ring has 0.27."""
DIRECTIONS = 72
ROUND = 0.03
"""A signature that varies by less, as a share of the mean, is a circle's; a square has 0.11."""
UNEVEN = 0.07
"""A signature that varies by less, and has no other figure's waves, is an uneven circle's."""
SMALLEST_LIKENESS = 0.75
"""Smallest cosine similarity to an ideal signature; between ideal ones it is near 0."""
SMALLEST_ASPECT = 0.6


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundObject:
    """A detected object.

    `shape` is None if it is none of the known shapes. `x`, `y`, `diameter` are shares of the side.
    """

    colour: Colour
    shape: Shape | None
    x: float
    y: float
    diameter: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    background: Background | None
    objects: tuple[FoundObject, ...]


def find_objects(picture: Picture) -> Finding:
    """Detect the objects in `picture`, (side, side, 3) RGB, at least 128 pixels."""
    side = picture.shape[0]
    border = np.concatenate(
        [picture[:3].reshape(-1, 3), picture[-3:].reshape(-1, 3), picture[:, :3].reshape(-1, 3)]
    )
    ground = np.median(border, axis=0)
    away = picture.astype(np.float64) - ground
    foreground = (np.linalg.norm(away, axis=2) > SMALLEST_CONTRAST).astype(np.uint8)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * (side // 128) + 1,) * 2)
    opened = cv2.morphologyEx(foreground, cv2.MORPH_OPEN, kernel)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(opened, connectivity=8)
    objects = [
        found
        for label in range(1, count)
        if stats[label, cv2.CC_STAT_AREA] >= SMALLEST_AREA * side * side
        and (found := _object(picture, away, ground, (labels == label).astype(np.uint8))) is not None
    ]
    return Finding(background=_background_name(ground), objects=tuple(objects))


def _background_name(ground: Floats) -> Background | None:
    distances = {name: float(np.linalg.norm(ground - np.array(rgb))) for name, rgb in BACKGROUND_RGB.items()}
    best = min(distances, key=lambda name: distances[name])
    return best if distances[best] <= LARGEST_BACKGROUND_DISTANCE else None


def _object(picture: Picture, away: Floats, ground: Floats, blob: Mask) -> FoundObject | None:
    """Classify a blob; return None if it has no known colour, as noise."""
    side = blob.shape[0]
    depth = cv2.distanceTransform(blob, cv2.DIST_L2, 3)
    colour = np.median(picture[depth >= depth.max() / 2], axis=0)
    distances = {name: float(np.linalg.norm(colour - np.array(rgb))) for name, rgb in COLOUR_RGB.items()}
    nearest = min(distances, key=lambda name: distances[name])
    if distances[nearest] > LARGEST_COLOUR_DISTANCE:
        return None
    # Per pixel: the position of its colour between the ground's (0) and the object's (1).
    way = colour - ground
    share = (away @ way) / (way @ way)
    near = cv2.dilate(blob, np.ones((3, 3), np.uint8), iterations=max(side // 64, 1))
    mask = _largest_part(((share > 0.5) & (near > 0)).astype(np.uint8))
    _, _, width, height = cv2.boundingRect(mask)
    moments = cv2.moments(_filled(mask), binaryImage=True)
    if moments["m00"] == 0:
        return None
    return FoundObject(
        colour=nearest,
        shape=_shape_of(mask),
        x=moments["m10"] / moments["m00"] / side,
        y=moments["m01"] / moments["m00"] / side,
        diameter=max(width, height) / side,
    )


def _shape_of(mask: Mask) -> Shape | None:
    _, _, width, height = cv2.boundingRect(mask)
    if min(width, height) < SMALLEST_ASPECT * max(width, height):
        return None
    filled = _filled(mask)
    hole = 1 - float(mask.sum()) / float(filled.sum())
    waves = radial_signature(filled)
    deviation = float(waves.std())
    if hole > SMALLEST_HOLE:
        return Shape.RING if deviation < UNEVEN else None
    if deviation < ROUND:
        return Shape.CIRCLE
    likeness = {
        shape: float(waves @ ideal / (np.linalg.norm(waves) * np.linalg.norm(ideal)))
        for shape, ideal in _ideal_signatures().items()
    }
    best = max(likeness, key=lambda shape: likeness[shape])
    if likeness[best] >= SMALLEST_LIKENESS:
        return best
    return Shape.CIRCLE if deviation < UNEVEN else None


def radial_signature(filled: Mask) -> Floats:
    """Return the distance of the outline per direction, relative to its mean, minus 1.

    (DIRECTIONS,), clockwise from the right, measured from the centre of mass. No shape here crosses
    a direction twice, so that the farthest point is the only one.
    """
    moments = cv2.moments(filled, binaryImage=True)
    centre = (moments["m10"] / moments["m00"], moments["m01"] / moments["m00"])
    radius = int(np.ceil(np.hypot(*filled.shape)))
    flags = cv2.WARP_POLAR_LINEAR | cv2.INTER_LINEAR | cv2.WARP_FILL_OUTLIERS
    rays = cv2.warpPolar(filled * 255, (radius, DIRECTIONS), centre, radius, flags)
    distances = np.array([np.flatnonzero(ray > 127).max(initial=0) for ray in rays], np.float64)
    return distances / max(distances.mean(), 1.0) - 1


@cache
def _ideal_signatures() -> dict[Shape, Floats]:
    """Return the signatures of an ideal square, triangle, pentagram and parametric heart."""
    side, middle, radius = 512, 256, 200
    turn = np.arange(10) * np.pi / 5
    reach = radius * np.where(np.arange(10) % 2 == 0, 1.0, 0.4)
    along = np.linspace(0, 2 * np.pi, 200)
    heart_x = 16 * np.sin(along) ** 3
    heart_y = 13 * np.cos(along) - 5 * np.cos(2 * along) - 2 * np.cos(3 * along) - np.cos(4 * along)
    outlines = {
        Shape.SQUARE: np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * 150,
        Shape.TRIANGLE: np.array([(0, -1), (1, 0.8), (-1, 0.8)]) * radius,
        Shape.STAR: np.stack([reach * np.sin(turn), -reach * np.cos(turn)], 1),
        Shape.HEART: np.stack([heart_x, -heart_y], 1) * 12,
    }
    signatures = {}
    for shape, outline in outlines.items():
        canvas = np.zeros((side, side), np.uint8)
        cv2.fillPoly(canvas, [np.round(outline + middle).astype(np.int32)], 1)
        signatures[shape] = radial_signature(canvas)
    return signatures


def _largest_part(mask: Mask) -> Mask:
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    if count == 1:
        return mask
    return (labels == 1 + stats[1:, cv2.CC_STAT_AREA].argmax()).astype(np.uint8)


def _filled(mask: Mask) -> Mask:
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = np.zeros_like(mask)
    cv2.drawContours(filled, contours, -1, 1, cv2.FILLED)
    return filled
