"""The port of an image classifier, called for each finished image."""

from typing import Protocol

import torch


class ImageClassifier(Protocol):
    """Decides whether an image is refused. An error fails the image, which is then not delivered."""

    def __call__(self, pixels: torch.Tensor, /) -> torch.Tensor:
        """Return whether an image (H, W, 3) uint8 is refused, a 0-dim bool.

        Queues work on the device and does not wait for it.
        """


def accept_all(_: torch.Tensor) -> torch.Tensor:
    """The classifier of a worker without one."""
    return torch.tensor(False)
