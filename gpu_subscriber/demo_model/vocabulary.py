"""The objects and words that the demo model supports, without any drawing code."""

from enum import StrEnum

Rgb = tuple[int, int, int]


class Shape(StrEnum):
    CIRCLE = "circle"
    SQUARE = "square"
    TRIANGLE = "triangle"
    STAR = "star"
    HEART = "heart"
    RING = "ring"


class Colour(StrEnum):
    RED = "red"
    ORANGE = "orange"
    YELLOW = "yellow"
    GREEN = "green"
    CYAN = "cyan"
    BLUE = "blue"
    PURPLE = "purple"
    PINK = "pink"


class Background(StrEnum):
    WHITE = "white"
    BLACK = "black"
    GRAY = "gray"
    CREAM = "cream"
    LIGHT_BLUE = "light blue"
    BROWN = "brown"


class Size(StrEnum):
    SMALL = "small"
    MEDIUM = "medium"
    LARGE = "large"


class Position(StrEnum):
    CENTER = "center"
    LEFT = "left"
    RIGHT = "right"
    TOP = "top"
    BOTTOM = "bottom"
    TOP_LEFT = "top left"
    TOP_RIGHT = "top right"
    BOTTOM_LEFT = "bottom left"
    BOTTOM_RIGHT = "bottom right"


class Relation(StrEnum):
    """The position of the first object of a pair relative to the second."""

    ABOVE = "above"
    BELOW = "below"
    LEFT_OF = "left of"
    RIGHT_OF = "right of"
    BESIDE = "beside"


COLOUR_RGB: dict[Colour, Rgb] = {
    Colour.RED: (220, 25, 30),
    Colour.ORANGE: (250, 135, 15),
    Colour.YELLOW: (250, 220, 20),
    Colour.GREEN: (25, 150, 50),
    Colour.CYAN: (0, 200, 215),
    Colour.BLUE: (30, 60, 215),
    Colour.PURPLE: (125, 35, 175),
    Colour.PINK: (250, 110, 185),
}

BACKGROUND_RGB: dict[Background, Rgb] = {
    Background.WHITE: (255, 255, 255),
    Background.BLACK: (0, 0, 0),
    Background.GRAY: (128, 128, 128),
    Background.CREAM: (250, 238, 208),
    Background.LIGHT_BLUE: (195, 222, 248),
    Background.BROWN: (92, 62, 42),
}

DIAMETERS: dict[Size, tuple[float, float]] = {
    Size.SMALL: (0.20, 0.24),
    Size.MEDIUM: (0.30, 0.34),
    Size.LARGE: (0.42, 0.46),
}
"""Smallest and largest diameter of an object, as a share of the image's side."""

POSITION_CENTRES: dict[Position, tuple[float, float]] = {
    Position.CENTER: (0.5, 0.5),
    Position.LEFT: (0.25, 0.5),
    Position.RIGHT: (0.75, 0.5),
    Position.TOP: (0.5, 0.25),
    Position.BOTTOM: (0.5, 0.75),
    Position.TOP_LEFT: (0.25, 0.25),
    Position.TOP_RIGHT: (0.75, 0.25),
    Position.BOTTOM_LEFT: (0.25, 0.75),
    Position.BOTTOM_RIGHT: (0.75, 0.75),
}
"""(x, y) as shares of the image's side; y grows downwards."""

SHAPE_WORDS: dict[Shape, tuple[str, ...]] = {
    Shape.CIRCLE: ("circle", "circle", "circle", "disc", "dot"),
    Shape.SQUARE: ("square",),
    Shape.TRIANGLE: ("triangle",),
    Shape.STAR: ("star",),
    Shape.HEART: ("heart",),
    Shape.RING: ("ring", "ring", "ring", "donut"),
}
COLOUR_WORDS: dict[Colour, tuple[str, ...]] = {
    **{colour: (colour.value,) for colour in Colour},
    Colour.PURPLE: ("purple", "purple", "violet"),
    Colour.CYAN: ("cyan", "cyan", "turquoise"),
}
SIZE_WORDS: dict[Size, tuple[str, ...]] = {
    Size.SMALL: ("small", "small", "little", "tiny"),
    Size.MEDIUM: ("medium", "medium sized"),
    Size.LARGE: ("large", "large", "big", "huge"),
}
BACKGROUND_WORDS: dict[Background, tuple[str, ...]] = {
    **{background: (background.value,) for background in Background},
    Background.GRAY: ("gray", "grey"),
    Background.LIGHT_BLUE: ("light blue", "sky blue"),
}
COUNT_WORDS: dict[int, tuple[str, ...]] = {2: ("two",), 3: ("three",), 4: ("four",)}
POSITION_PHRASES: dict[Position, tuple[str, ...]] = {
    Position.CENTER: ("in the center", "in the middle", "in the centre"),
    Position.LEFT: ("on the left", "on the left side"),
    Position.RIGHT: ("on the right", "on the right side"),
    Position.TOP: ("at the top",),
    Position.BOTTOM: ("at the bottom",),
    Position.TOP_LEFT: ("in the top left corner", "in the upper left corner", "at the top left"),
    Position.TOP_RIGHT: ("in the top right corner", "in the upper right corner", "at the top right"),
    Position.BOTTOM_LEFT: ("in the bottom left corner", "in the lower left corner", "at the bottom left"),
    Position.BOTTOM_RIGHT: ("in the bottom right corner", "in the lower right corner", "at the bottom right"),
}
RELATION_PHRASES: dict[Relation, tuple[str, ...]] = {
    Relation.ABOVE: ("above", "above", "over", "on top of"),
    Relation.BELOW: ("below", "below", "under"),
    Relation.LEFT_OF: ("left of", "to the left of", "on the left of"),
    Relation.RIGHT_OF: ("right of", "to the right of", "on the right of"),
    Relation.BESIDE: ("and", "and", "next to", "beside"),
}
