"""PipelineChecker: the safety checker that is part of a pipeline, as of Stable Diffusion 1.

The pipeline calls it and returns its verdict, which compares numbers. No comparison with a number
that is not finite is true, so such an image would pass.
"""

from collections.abc import Sequence
from typing import Any

import torch

from common.model_files.weights import UnservableModelError


def has_finite_weights(model: torch.nn.Module) -> bool:
    """Return whether every weight is finite. With others a safety checker refuses no image."""
    return all(bool(weight.isfinite().all()) for weight in model.parameters())


class CheckedEmbeddings:
    """CLIP's embeddings of the images that a safety checker read last."""

    def __init__(self, model: torch.nn.Module) -> None:
        self._latest = torch.empty(0)
        for name, module in model.named_modules():
            if name.rpartition(".")[2] == "visual_projection":
                module.register_forward_hook(self._keep)

    @property
    def are_finite(self) -> torch.Tensor:
        """A 0-dim bool on the device."""
        return self._latest.isfinite().all()

    def _keep(self, _module: Any, _given: Any, embeddings: torch.Tensor) -> None:
        self._latest = embeddings


class PipelineChecker:
    """The checker of a loaded pipeline, or none. Raises UnservableModelError if it would refuse nothing."""

    def __init__(self, pipeline: Any) -> None:
        model = getattr(pipeline, "safety_checker", None)
        self.exists = model is not None
        """Whether images are checked. A preview would show what the checker refuses."""
        self._embeddings: CheckedEmbeddings | None = None
        if isinstance(model, torch.nn.Module):
            if not has_finite_weights(model):
                raise UnservableModelError("its safety checker has weights that are not finite")
            self._embeddings = CheckedEmbeddings(model)

    def refuses(self, flagged: Sequence[bool] | None) -> bool:
        """Return whether the image is refused that the pipeline has just checked, with this verdict."""
        is_flagged = bool(flagged and flagged[0])
        return is_flagged or (self._embeddings is not None and not bool(self._embeddings.are_finite))
