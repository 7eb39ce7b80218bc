"""Autoencoders that decode in another precision than the one in which they are stored."""

from pathlib import Path
from typing import Any

import pytest
import torch

from gpu_subscriber.engine.messages import ImageReady, RunFailed
from tests.unit.gpu_subscriber.engine.families.family_cases import CASES, Model


def test_memory_that_ends_during_the_change_of_precision_fails_one_image(tmp_path: Path) -> None:
    """Otherwise half of the autoencoder stays in the other precision, and each later image fails."""
    case = CASES["stable_diffusion_xl"]
    model = Model.loaded(case, case.save(tmp_path))
    pipeline: Any = model.family.pipeline
    pipeline.vae.register_to_config(force_upcast=True)
    pipeline.vae.to(torch.float16)
    driven = model.engine()

    def raise_out_of_memory(*_given: object, **_named: object) -> None:
        patch.undo()
        raise torch.OutOfMemoryError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline.vae.decoder, "_apply", raise_out_of_memory)
        driven.draw("first", model.asked())
    driven.draw("second", model.asked(seed=2))
    assert [failed.run_id for failed in driven.of_kind(RunFailed)] == ["first"]
    assert [ready.run_id for ready in driven.of_kind(ImageReady)] == ["second"]
    assert {parameter.dtype for parameter in pipeline.vae.parameters()} == {torch.float16}
