"""Wordings of a description, in several natural ways."""

import random
from typing import Final

from gpu_subscriber.demo_model.descriptions import Description, Item
from gpu_subscriber.demo_model.vocabulary import (
    BACKGROUND_WORDS,
    COLOUR_WORDS,
    COUNT_WORDS,
    POSITION_PHRASES,
    RELATION_PHRASES,
    SHAPE_WORDS,
    SIZE_WORDS,
)

OPENINGS: Final = ("", "", "", "", "", "a picture of ", "an image of ", "a drawing of ", "draw ", "there is ")


def phrase(description: Description, random_source: random.Random) -> str:
    """Return a phrase such as "a large red circle above a small blue square on a white background"."""
    subject = _subject(description, random_source)
    opening = random_source.choice(OPENINGS)
    if opening == "there is " and description.count > 1:
        opening = "there are "
    text = f"{opening}{subject}"
    if description.background is not None:
        colour = random_source.choice(BACKGROUND_WORDS[description.background])
        text = random_source.choice(
            (f"{text} on a {colour} background",) * 3
            + (f"{text}, {colour} background", f"on a {colour} background, {text}", f"{text} on {colour}")
        )
    return text


def every_word() -> frozenset[str]:
    """Return all words of all phrases; each is a token of the tokenizer."""
    lists = (
        SHAPE_WORDS,
        COLOUR_WORDS,
        SIZE_WORDS,
        BACKGROUND_WORDS,
        COUNT_WORDS,
        POSITION_PHRASES,
        RELATION_PHRASES,
    )
    phrases = [text for words in lists for texts in words.values() for text in texts]
    glue = "a an on of draw there is are picture image drawing background , the with"
    plurals = [f"{word}s" for words in SHAPE_WORDS.values() for word in words]
    return frozenset(word for text in (*phrases, *plurals, glue) for word in text.split())


def _subject(description: Description, random_source: random.Random) -> str:
    first = description.items[0]
    if description.relation is not None:
        relation = random_source.choice(RELATION_PHRASES[description.relation])
        return (
            f"{_with_article(_noun(first, random_source))} {relation} "
            f"{_with_article(_noun(description.items[1], random_source))}"
        )
    if description.count > 1:
        return f"{random_source.choice(COUNT_WORDS[description.count])} {_noun(first, random_source)}s"
    text = _with_article(_noun(first, random_source))
    if description.position is not None:
        text = f"{text} {random_source.choice(POSITION_PHRASES[description.position])}"
    return text


def _noun(item: Item, random_source: random.Random) -> str:
    words = [random_source.choice(SIZE_WORDS[item.size])] if item.size is not None else []
    words += [random_source.choice(COLOUR_WORDS[item.colour]), random_source.choice(SHAPE_WORDS[item.shape])]
    return " ".join(words)


def _with_article(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"
