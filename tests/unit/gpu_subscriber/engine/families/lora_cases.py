"""Tiny models with LoRAs, and the stock pipelines in which peft loads the same files."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diffusers import DiffusionPipeline

from common.domain.models.lora import LoraSpec
from common.domain.parameters import GenerationParameters
from gpu_subscriber.engine.loras.model_loras import ModelLoras
from tests.unit.gpu_subscriber.engine.driven_engine import DrivenEngine
from tests.unit.gpu_subscriber.engine.families.family_cases import CASES, Model
from tests.unit.gpu_subscriber.engine.stock_oracle import StockPicture, largest_difference, stock_picture
from tests.unit.gpu_subscriber.engine.tiny_loras import peft_lora

TOLERANCE = 1e-4
"""Largest difference of latents from diffusers and peft, relative to the largest value."""
RANKS = {"a": 4, "b": 16, "c": 8, "d": 3}


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraModel:
    """A tiny model with LoRAs, and the stock pipeline of its folder, in which peft loads them."""

    model: Model
    oracle: Any
    files: dict[str, Path]

    @classmethod
    def loaded(cls, name: str, folder: Path) -> "LoraModel":
        case = CASES[name]
        model = Model.loaded(case, case.save(folder / "model"))
        oracle = DiffusionPipeline.from_pretrained(folder / "model", use_safetensors=True)
        oracle.set_progress_bar_config(disable=True)
        networks = [
            model.family.network,
            *(part for part in oracle._lora_loadable_modules if is_clip(oracle, part)),
        ]
        files = {}
        for number, (lora, rank) in enumerate(RANKS.items()):
            # Some change all networks, some only the denoiser, and not all of its layers.
            parts = networks if number % 2 == 0 else networks[:1]
            files[lora] = peft_lora(
                oracle,
                folder / f"{lora}.safetensors",
                components=tuple(parts),
                rank=rank,
                seed=number,
                every=1 + number % 2,
            )
        for lora, file in files.items():
            oracle.load_lora_weights(str(file), adapter_name=lora)
        return cls(model=model, oracle=oracle, files=files).with_loras(files)

    def with_loras(self, files: dict[str, Path], *, most_sets: int = 8) -> "LoraModel":
        """Return the same with these LoRAs in the catalog entry."""
        specs = tuple(LoraSpec(name=name, source=str(file)) for name, file in files.items())
        family = self.model.family
        family.loras.release()
        family.loras = ModelLoras(family.pipeline, family.network, specs, most_sets=most_sets)
        spec = self.model.spec.model_copy(update={"loras": specs})
        model = Model(spec=spec, family=family, case=self.model.case)
        return LoraModel(model=model, oracle=self.oracle, files=self.files)

    def asked(self, loras: dict[str, float], **fields: Any) -> GenerationParameters:
        chosen = [{"name": name, "scale": scale} for name, scale in loras.items()]
        return self.model.asked(loras=chosen, **fields)

    def drawn_by_peft(self, parameters: GenerationParameters) -> StockPicture:
        """Draw with diffusers and peft, alone."""
        if adapters := {lora.name: lora.scale for lora in parameters.loras}:
            self.oracle.enable_lora()
            self.oracle.set_adapters(list(adapters), list(adapters.values()))
        else:
            self.oracle.disable_lora()
        return stock_picture(self.oracle, parameters, arguments=self.model.case.stock_arguments)

    def assert_equals_peft(self, driven: DrivenEngine, run_id: str, parameters: GenerationParameters) -> None:
        expected = self.drawn_by_peft(parameters)
        difference = (self.model.family.final_latents[parameters.seed] - expected.latents).abs().max()
        assert float(difference / expected.latents.abs().max()) <= TOLERANCE, parameters.loras
        assert largest_difference(driven.picture(run_id), expected.pixels) <= 1


def warm_engine(loras: LoraModel) -> DrivenEngine:
    """Return an engine whose model is loaded: the pass that follows a load takes one set only."""
    driven = loras.model.engine()
    driven.draw("first", loras.asked({}))
    loras.model.family.clear()
    return driven


def is_clip(pipeline: Any, name: str) -> bool:
    """Return whether a component is a text encoder for which diffusers loads LoRAs."""
    return type(getattr(pipeline, name, None)).__name__.startswith("CLIPText")
