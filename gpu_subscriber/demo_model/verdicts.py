"""Comparison of a description with the detected objects. Pure: no images, no networks."""

from collections.abc import Callable
from dataclasses import dataclass

from gpu_subscriber.demo_model.descriptions import Description, Item
from gpu_subscriber.demo_model.detector import Finding, FoundObject
from gpu_subscriber.demo_model.vocabulary import DIAMETERS, POSITION_CENTRES, Relation

PLACE_TOLERANCE = 0.12
"""Largest distance of an object from the requested position; these are 0.25 apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Result of a comparison.

    `items`: every requested colour and shape was found. The others are true if nothing of their
    kind was requested.
    """

    items: bool
    number: bool
    place: bool
    size: bool
    background: bool

    @property
    def everything(self) -> bool:
        return self.items and self.number and self.place and self.size and self.background


def judge(description: Description, finding: Finding) -> Verdict:
    matches = [_matching(item, finding) for item in description.items]
    items = all(matches)
    expected = description.count * len(description.items)
    return Verdict(
        items=items,
        number=len(finding.objects) == expected and sum(map(len, matches)) == expected,
        place=items and _place_is_right(description, [found[0] for found in matches]),
        size=items
        and all(
            _size_is_right(item, found[0]) for item, found in zip(description.items, matches, strict=True)
        ),
        background=description.background in (None, finding.background),
    )


def summary(judged: list[tuple[Description, Verdict]]) -> dict[str, float]:
    """Return percentages.

    `asked_colour_and_shape` is over all prompts, `both_of_pair` over the pairs among them.
    """

    def percentage(holds: Callable[[Verdict], bool], kind: str | None = None) -> float:
        counted = [holds(verdict) for description, verdict in judged if kind in (None, description.kind)]
        return round(100 * sum(counted) / max(len(counted), 1), 1)

    return {
        "asked_colour_and_shape": percentage(lambda verdict: verdict.items),
        "single_colour_and_shape": percentage(lambda verdict: verdict.items, "single"),
        "both_of_pair": percentage(lambda verdict: verdict.items, "pair"),
        "pair_both_and_relation": percentage(lambda verdict: verdict.items and verdict.place, "pair"),
        "group_colour_and_shape": percentage(lambda verdict: verdict.items, "group"),
        "group_exact_count": percentage(lambda verdict: verdict.number, "group"),
        "exact_number": percentage(lambda verdict: verdict.number),
        "place": percentage(lambda verdict: verdict.place),
        "size": percentage(lambda verdict: verdict.size),
        "background": percentage(lambda verdict: verdict.background),
        "everything": percentage(lambda verdict: verdict.everything),
    }


def _matching(item: Item, finding: Finding) -> list[FoundObject]:
    return [found for found in finding.objects if (found.colour, found.shape) == (item.colour, item.shape)]


def _place_is_right(description: Description, found: list[FoundObject]) -> bool:
    if description.relation is not None:
        return _relation_is_right(description.relation, *found)
    if description.position is None:
        return True
    x, y = POSITION_CENTRES[description.position]
    return max(abs(found[0].x - x), abs(found[0].y - y)) <= PLACE_TOLERANCE


def _relation_is_right(relation: Relation, first: FoundObject, second: FoundObject) -> bool:
    across, down = first.x - second.x, first.y - second.y
    if relation is Relation.BESIDE:
        return abs(across) > abs(down)
    distance = {
        Relation.ABOVE: -down,
        Relation.BELOW: down,
        Relation.LEFT_OF: -across,
        Relation.RIGHT_OF: across,
    }[relation]
    return distance > 0.15


def _size_is_right(item: Item, found: FoundObject) -> bool:
    """Return whether the size is within half the gap to the next size.

    The boxes of star and square differ from the circle's by a tenth.
    """
    if item.size is None:
        return True
    smallest, largest = DIAMETERS[item.size]
    return smallest - 0.05 <= found.diameter <= largest + 0.05
