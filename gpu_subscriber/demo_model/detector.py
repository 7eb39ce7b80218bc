"""Finds coloured shapes in a picture with plain geometry, to judge the model by something it was not trained with.

No network and none of the drawing code: colours by the nearest name, shapes by area, hull and enclosing figures.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from gpu_subscriber.demo_model.vocabulary import BACKGROUND_RGB, COLOUR_RGB, Background, Colour, Shape

Mask = npt.NDArray[np.uint8]
Picture = npt.NDArray[np.uint8]

LARGEST_COLOUR_DISTANCE = 90.0
"""Euclidean, in 8-bit RGB. The closest two object colours, red and orange, are 115 apart."""
LARGEST_BACKGROUND_DISTANCE = 30.0
SMALLEST_AREA = 0.004
"""Of an object, as a share of the picture; the smallest thing scenes contain, a small star, has 0.01."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundObject:
    """`shape` is None for a blob that is none of the known shapes. `x`, `y`, `diameter` are shares of the side."""

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
    """`picture` is (side, side, 3) RGB, 128 pixels or more."""
    border = np.concatenate(
        [picture[:3].reshape(-1, 3), picture[-3:].reshape(-1, 3), picture[:, :3].reshape(-1, 3)]
    )
    ground = np.median(border, axis=0)
    palette = np.array([*COLOUR_RGB.values(), ground], np.float64)
    distances = np.linalg.norm(picture[:, :, None].astype(np.float64) - palette, axis=3)
    nearest = distances.argmin(2)
    nearest[distances.min(2) > LARGEST_COLOUR_DISTANCE] = -1
    objects = [
        found
        for number, colour in enumerate(COLOUR_RGB)
        for found in _objects_of(colour, (nearest == number).astype(np.uint8))
    ]
    return Finding(background=_background_name(ground), objects=tuple(objects))


def _background_name(ground: npt.NDArray[np.float64]) -> Background | None:
    distances = {name: float(np.linalg.norm(ground - np.array(rgb))) for name, rgb in BACKGROUND_RGB.items()}
    best = min(distances, key=lambda name: distances[name])
    return best if distances[best] <= LARGEST_BACKGROUND_DISTANCE else None


def _objects_of(colour: Colour, mask: Mask) -> list[FoundObject]:
    side = mask.shape[0]
    # Blended pixels along an edge can be nearest to a third colour; opening removes such thin lines.
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * (side // 128) + 1,) * 2)
    opened = cv2.morphologyEx(mask, cv2.MORPH_OPEN, kernel)
    count, labels, stats, centroids = cv2.connectedComponentsWithStats(opened, connectivity=8)
    found = []
    for label in range(1, count):
        if stats[label, cv2.CC_STAT_AREA] < SMALLEST_AREA * side * side:
            continue
        box = stats[label, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]]
        found.append(
            FoundObject(
                colour=colour,
                shape=_shape_of((labels == label).astype(np.uint8)),
                x=float(centroids[label][0]) / side,
                y=float(centroids[label][1]) / side,
                diameter=float(box.max()) / side,
            )
        )
    return found


def measurements(mask: Mask) -> dict[str, float]:
    """Shares between 0 and 1 that tell the shapes apart, for one connected blob of ones.

    hole: of the filled outline; hull, box, circle, triangle: how much of the smallest such figure around it is
    filled; notch: depth of the deepest dent that opens upwards, as a share of the height.
    """
    contours, hierarchy = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    outer = max((c for c, h in zip(contours, hierarchy[0], strict=True) if h[3] < 0), key=cv2.contourArea)
    # Contours run through pixel centres; without the half pixel around them small shapes measure too small.
    area = max(cv2.contourArea(outer) + cv2.arcLength(outer, True) / 2, 1.0)
    hull = cv2.convexHull(outer)
    _, radius = cv2.minEnclosingCircle(outer)
    triangle_area, _ = cv2.minEnclosingTriangle(outer)
    _, _, width, height = cv2.boundingRect(outer)
    inner = cv2.contourArea(outer)
    return {
        "hole": 1 - min(1.0, float(mask.sum()) / area),
        "hull": inner / max(cv2.contourArea(hull), 1.0),
        "box": area / (width * height),
        "circle": inner / max(np.pi * radius**2, 1.0),
        "triangle": inner / max(triangle_area, 1.0),
        "aspect": min(width, height) / max(width, height),
        "notch": _notch(outer, height),
    }


def _shape_of(mask: Mask) -> Shape | None:
    share = measurements(mask)
    if share["aspect"] < 0.75:
        return None
    if share["hole"] > 0.10:
        return Shape.RING if share["circle"] > 0.85 else None
    # The first that holds; a heart is what is left over and has its notch.
    tests = (
        (Shape.STAR, share["hull"] < 0.75),
        (Shape.SQUARE, share["box"] > 0.88),
        (Shape.CIRCLE, share["circle"] > 0.88),
        (Shape.TRIANGLE, share["triangle"] > 0.82),
        (Shape.HEART, share["notch"] > 0.08 and share["box"] < 0.8),
    )
    return next((shape for shape, holds in tests if holds), None)


def _notch(outer: npt.NDArray[Any], height: int) -> float:
    """How far the outline dips below the hull in the middle of its upper side."""
    points = outer[:, 0, :]
    centre = (points[:, 0].min() + points[:, 0].max()) // 2
    dip = points[np.abs(points[:, 0] - centre) <= 1][:, 1].min() - points[:, 1].min()
    return float(dip) / height
