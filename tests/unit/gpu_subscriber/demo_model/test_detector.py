"""The detector judges the model, so it must be right about drawings with known content."""

import itertools
import random

import cv2
import numpy as np
import pytest

from gpu_subscriber.demo_model.descriptions import descriptions
from gpu_subscriber.demo_model.detector import find_objects
from gpu_subscriber.demo_model.scenes import draw, lay_out
from gpu_subscriber.demo_model.verdicts import judge
from gpu_subscriber.demo_model.vocabulary import COLOUR_RGB, Colour


def test_detector_finds_the_shapes_in_99_of_100_scenes() -> None:
    random_source = random.Random(11)
    right = []
    for asked in itertools.islice(descriptions(12, held_out=True), 300):
        scene = lay_out(asked, random_source)
        finding = find_objects(draw(scene, 256))
        drawn = sorted((each.colour, each.shape) for each in scene.objects)
        found = sorted((each.colour, each.shape or "") for each in finding.objects)
        right.append(drawn == found and finding.background == scene.background)

    assert np.mean(right) >= 0.99


def test_correct_image_passes() -> None:
    random_source = random.Random(13)
    asked = list(itertools.islice(descriptions(14, held_out=True), 200))
    verdicts = [judge(each, find_objects(draw(lay_out(each, random_source), 256))) for each in asked]

    assert np.mean([verdict.everything for verdict in verdicts]) >= 0.99


def test_wrong_image_fails() -> None:
    random_source = random.Random(15)
    asked = list(itertools.islice(descriptions(16, held_out=True), 100))
    pictures = [draw(lay_out(each, random_source), 256) for each in asked]
    verdicts = [judge(each, find_objects(other)) for each, other in zip(asked, pictures[1:], strict=False)]

    assert np.mean([verdict.items for verdict in verdicts]) < 0.1


@pytest.mark.parametrize("softness", [1.0, 2.5])
def test_detector_tolerates_soft_outlines_and_grain(softness: float) -> None:
    """Images as a decoder produces them; `softness` is the deviation of the blur in pixels."""
    random_source, grain = random.Random(17), np.random.default_rng(18)
    right = []
    for asked in itertools.islice(descriptions(19, held_out=True), 200):
        picture = cv2.GaussianBlur(draw(lay_out(asked, random_source), 256), (0, 0), softness)
        grainy = np.clip(picture + grain.normal(0, 6, picture.shape), 0, 255).astype(np.uint8)
        right.append(judge(asked, find_objects(grainy)).items)

    assert np.mean(right) >= 0.97


@pytest.mark.parametrize(
    "outline",
    [
        [(40, 100), (216, 100), (216, 156), (40, 156)],  # a bar
        [(128, 40), (216, 128), (128, 216), (40, 128)],  # a diamond
        [(40, 80), (216, 80), (128, 230)],  # an inverted triangle
        [(88, 40), (168, 40), (168, 216), (128, 120), (88, 216)],  # something else
    ],
)
def test_detector_rejects_other_shapes(outline: list[tuple[int, int]]) -> None:
    picture = np.full((256, 256, 3), 255, np.uint8)
    cv2.fillPoly(picture, [np.array(outline)], COLOUR_RGB[Colour.BLUE])

    assert [(found.colour, found.shape) for found in find_objects(picture).objects] == [(Colour.BLUE, None)]


def test_detector_finds_nothing_in_noise() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)

    assert find_objects(noise).objects == ()
