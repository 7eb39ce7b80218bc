"""The demo model's training scenes and their captions."""

import itertools
import random

import numpy as np
import pytest

from gpu_subscriber.demo_model.descriptions import Description, Item, descriptions, random_description
from gpu_subscriber.demo_model.phrases import every_word, phrase
from gpu_subscriber.demo_model.scenes import draw, lay_out
from gpu_subscriber.demo_model.vocabulary import (
    BACKGROUND_WORDS,
    COLOUR_WORDS,
    COUNT_WORDS,
    RELATION_PHRASES,
    SHAPE_WORDS,
    SIZE_WORDS,
    Colour,
    Relation,
    Shape,
)


def first_descriptions(count: int, *, held_out: bool, seed: int = 7) -> list[Description]:
    return list(itertools.islice(descriptions(seed, held_out=held_out), count))


def test_same_seed_gives_the_same_scenes_and_pixels() -> None:
    def everything() -> list[tuple[str, bytes]]:
        random_source = random.Random(3)
        return [
            (phrase(asked, random_source), draw(lay_out(asked, random_source), 64).tobytes())
            for asked in first_descriptions(20, held_out=False)
        ]

    assert everything() == everything()


def test_training_set_excludes_held_out_descriptions() -> None:
    trained = {asked.key() for asked in first_descriptions(3000, held_out=False)}
    held_out = {asked.key() for asked in first_descriptions(1000, held_out=True, seed=8)}

    assert not trained & held_out


def test_tenth_of_the_descriptions_is_held_out() -> None:
    source = random.Random(1)
    share = np.mean([random_description(source).is_held_out() for _ in range(3000)])

    assert 0.07 < share < 0.13


def test_phrase_contains_every_requested_property() -> None:
    random_source = random.Random(5)
    for asked in first_descriptions(300, held_out=False):
        text = phrase(asked, random_source)
        for item in asked.items:
            assert any(word in text for word in COLOUR_WORDS[item.colour])
            assert any(word in text for word in SHAPE_WORDS[item.shape])
            assert item.size is None or any(word in text for word in SIZE_WORDS[item.size])
        assert asked.background is None or any(word in text for word in BACKGROUND_WORDS[asked.background])
        assert asked.relation is None or any(words in text for words in RELATION_PHRASES[asked.relation])
        assert asked.count == 1 or any(word in text for word in COUNT_WORDS[asked.count])


def test_phrase_uses_only_words_of_the_tokenizer() -> None:
    random_source = random.Random(6)
    for asked in first_descriptions(300, held_out=False):
        assert set(phrase(asked, random_source).replace(",", " ,").split()) <= every_word()


def test_scene_matches_its_description() -> None:
    random_source = random.Random(9)
    for asked in first_descriptions(300, held_out=False):
        scene = lay_out(asked, random_source)
        assert len(scene.objects) == asked.count * len(asked.items)
        assert {(o.colour, o.shape) for o in scene.objects} == {(i.colour, i.shape) for i in asked.items}
        assert asked.background in (None, scene.background)
        for placed in scene.objects:
            assert placed.diameter / 2 < placed.x < 1 - placed.diameter / 2
            assert placed.diameter / 2 < placed.y < 1 - placed.diameter / 2


def test_unspecified_object_is_medium_and_centred() -> None:
    item = Item(colour=Colour.RED, shape=Shape.STAR, size=None)
    asked = Description(items=(item,), count=1, position=None, relation=None, background=None)
    (placed,) = lay_out(asked, random.Random(1)).objects

    assert 0.30 <= placed.diameter <= 0.34
    assert abs(placed.x - 0.5) <= 0.03
    assert abs(placed.y - 0.5) <= 0.03


@pytest.mark.parametrize(
    ("relation", "axis", "sign"),
    [
        (Relation.ABOVE, "y", -1),
        (Relation.BELOW, "y", 1),
        (Relation.LEFT_OF, "x", -1),
        (Relation.RIGHT_OF, "x", 1),
    ],
)
def test_pair_has_the_requested_arrangement(relation: Relation, axis: str, sign: int) -> None:
    random_source = random.Random(2)
    pairs = [d for d in first_descriptions(200, held_out=False) if d.relation is relation]

    assert pairs
    for asked in pairs:
        first, second = lay_out(asked, random_source).objects
        assert sign * (getattr(first, axis) - getattr(second, axis)) > 0.3


def test_image_has_the_requested_side_and_the_same_scene() -> None:
    scene = lay_out(first_descriptions(1, held_out=False)[0], random.Random(0))
    small, large = draw(scene, 64), draw(scene, 128)

    assert small.shape == (64, 64, 3)
    assert np.abs(large[::2, ::2].astype(int) - small).mean() < 8
