"""The loaded tiny models of the oracle suite, each loaded once per session."""

from collections.abc import Callable, Iterator

import pytest
import torch

from tests.unit.gpu_subscriber.engine.families.family_cases import CASES, PICTURE_CASES, Model
from tests.unit.gpu_subscriber.engine.families.lora_cases import LoraModel

ModelOf = Callable[[str], Model]
LoraModelOf = Callable[[str], LoraModel]


@pytest.fixture(scope="session")
def loaded_model(tmp_path_factory: pytest.TempPathFactory) -> ModelOf:
    """Return the model of a case."""
    models: dict[str, Model] = {}

    def load(name: str) -> Model:
        if name not in models:
            folder = tmp_path_factory.mktemp("families") / name.replace(" ", "-")
            case = {**CASES, **PICTURE_CASES}[name]
            models[name] = Model.loaded(case, case.save(folder))
        return models[name]

    return load


@pytest.fixture
def model(request: pytest.FixtureRequest, loaded_model: ModelOf) -> Iterator[Model]:
    """The model of the test's parameter `model`, the name of a case, as the engine runs it."""
    loaded = loaded_model(request.param)
    with torch.inference_mode():
        yield loaded


@pytest.fixture(scope="session")
def lora_model_of(tmp_path_factory: pytest.TempPathFactory) -> LoraModelOf:
    """Return the model of a case, with LoRAs."""
    models: dict[str, LoraModel] = {}

    def load(name: str) -> LoraModel:
        if name not in models:
            models[name] = LoraModel.loaded(name, tmp_path_factory.mktemp("loras"))
        return models[name]

    return load


@pytest.fixture
def loras(request: pytest.FixtureRequest, lora_model_of: LoraModelOf) -> Iterator[LoraModel]:
    """The model of the test's parameter `loras`, the name of a case."""
    with torch.inference_mode():
        loaded = lora_model_of(request.param)
        yield loaded.with_loras(loaded.files)
