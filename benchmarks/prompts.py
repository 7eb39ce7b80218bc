"""Twenty prompts of the demo model's domain, the same for all variants."""

_COLOURS = ("red", "blue", "green", "yellow", "purple")
_SHAPES = ("circle", "square", "triangle", "star")

PROMPTS = tuple(f"a large {colour} {shape} on a white background" for colour in _COLOURS for shape in _SHAPES)
