"""The detector is the judge of the model, so it must be right about drawings whose content is known."""

import itertools
import random

import numpy as np

from gpu_subscriber.demo_model.descriptions import descriptions
from gpu_subscriber.demo_model.detector import find_objects
from gpu_subscriber.demo_model.scenes import draw, lay_out
from gpu_subscriber.demo_model.verdicts import judge


def test_the_detector_finds_what_is_drawn_in_99_of_100_scenes() -> None:
    random_source = random.Random(11)
    right = []
    for asked in itertools.islice(descriptions(12, held_out=True), 300):
        scene = lay_out(asked, random_source)
        finding = find_objects(draw(scene, 256))
        drawn = sorted((each.colour, each.shape) for each in scene.objects)
        found = sorted((each.colour, each.shape or "") for each in finding.objects)
        right.append(drawn == found and finding.background == scene.background)

    assert np.mean(right) >= 0.99


def test_a_correct_drawing_is_judged_correct() -> None:
    random_source = random.Random(13)
    asked = list(itertools.islice(descriptions(14, held_out=True), 200))
    verdicts = [judge(each, find_objects(draw(lay_out(each, random_source), 256))) for each in asked]

    assert np.mean([verdict.everything for verdict in verdicts]) >= 0.99


def test_a_drawing_of_something_else_is_judged_wrong() -> None:
    random_source = random.Random(15)
    asked = list(itertools.islice(descriptions(16, held_out=True), 100))
    pictures = [draw(lay_out(each, random_source), 256) for each in asked]
    verdicts = [judge(each, find_objects(other)) for each, other in zip(asked, pictures[1:], strict=False)]

    assert np.mean([verdict.items for verdict in verdicts]) < 0.1


def test_noise_holds_no_objects() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)

    assert find_objects(noise).objects == ()
