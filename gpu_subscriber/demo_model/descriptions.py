"""The content of prompts, independent of their wording; sampled, and split for training.

A `Description` contains only what is requested; a share of them is held out from training. Open
choices (size, position, background) are made at random when the scene is laid out, so that one
description has many images, as one prompt has many seeds.
"""

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass

from gpu_subscriber.demo_model.vocabulary import Background, Colour, Position, Relation, Shape, Size

HELD_OUT_SHARE = 0.1
"""Share of descriptions that training never uses, in any wording."""

KIND_WEIGHTS = {"single": 0.40, "pair": 0.42, "group": 0.18}


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One kind of requested object; `size` is None if the prompt does not specify it."""

    colour: Colour
    shape: Shape
    size: Size | None

    def key(self) -> str:
        return f"{self.size or 'any'} {self.colour} {self.shape}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """A single object (one item, count 1), a group of equal ones (one item, count 2 to 4) or a pair (two items)."""

    items: tuple[Item, ...]
    count: int
    position: Position | None
    relation: Relation | None
    background: Background | None

    @property
    def kind(self) -> str:
        """The kind: "single", "pair" or "group"."""
        return "pair" if self.relation is not None else "group" if self.count > 1 else "single"

    def key(self) -> str:
        """A key that is equal for all wordings of the same request."""
        items = " + ".join(item.key() for item in self.items)
        return f"{self.count}|{items}|{self.position}|{self.relation}|{self.background}"

    def is_held_out(self) -> bool:
        digest = hashlib.sha256(self.key().encode()).digest()
        return int.from_bytes(digest[:4]) / 2**32 < HELD_OUT_SHARE


def random_description(random_source: random.Random, kind: str | None = None) -> Description:
    kind = kind or random_source.choices(list(KIND_WEIGHTS), list(KIND_WEIGHTS.values()))[0]
    background = random_source.choice(list(Background)) if random_source.random() < 0.75 else None
    if kind == "pair":
        pair = _two_different_items(random_source)
        relation = random_source.choice(list(Relation))
        return Description(items=pair, count=1, position=None, relation=relation, background=background)
    if kind == "group":
        item = _random_item(random_source, sizes=(Size.SMALL, Size.MEDIUM))
        count = random_source.choice((2, 3, 4))
        return Description(items=(item,), count=count, position=None, relation=None, background=background)
    position = random_source.choice(list(Position)) if random_source.random() < 0.6 else None
    one = (_random_item(random_source),)
    return Description(items=one, count=1, position=position, relation=None, background=background)


def descriptions(seed: int, *, held_out: bool, kind: str | None = None) -> Iterator[Description]:
    """Yield an endless, seeded sequence of descriptions, either only held-out ones or none of them."""
    random_source = random.Random(seed)
    while True:
        description = random_description(random_source, kind)
        if description.is_held_out() == held_out:
            yield description


def _random_item(random_source: random.Random, sizes: tuple[Size, ...] = tuple(Size)) -> Item:
    return Item(
        colour=random_source.choice(list(Colour)),
        shape=random_source.choice(list(Shape)),
        size=random_source.choice(sizes) if random_source.random() < 0.6 else None,
    )


def _two_different_items(random_source: random.Random) -> tuple[Item, Item]:
    """Return two items of different colours and mostly different shapes, to detect mix-ups."""
    first, second = _random_item(random_source), _random_item(random_source)
    while second.colour == first.colour:
        second = _random_item(random_source)
    return first, second
