"""LoRAs: each Run equals diffusers and peft alone, whatever LoRAs the other Runs of its batch have."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from common.domain.failures import FailureCode
from common.domain.provenance import AppliedLora
from common.domain.worker_report import NO_FACTORS
from gpu_subscriber.engine.batches.batch_planning import BatchKey
from gpu_subscriber.engine.devices import Device
from gpu_subscriber.engine.loras import model_loras
from gpu_subscriber.engine.loras.lora_weights import Pair
from gpu_subscriber.engine.loras.slot_bank import Joined, LoraSet, SlotBank
from gpu_subscriber.engine.messages import ImageReady, RunFailed
from gpu_subscriber.engine.models.loading import load_family
from gpu_subscriber.engine.tuning.step_factors import measure_step_factors
from tests.unit.gpu_subscriber.engine.driven_engine import CPU, DrivenEngine
from tests.unit.gpu_subscriber.engine.families.family_cases import CASES
from tests.unit.gpu_subscriber.engine.families.lora_cases import LoraModel, warm_engine
from tests.unit.gpu_subscriber.engine.families.test_family_oracle import (
    STEP_TOLERANCE,
    checkpoint_of,
    refusal,
    resumed,
)
from tests.unit.gpu_subscriber.engine.stock_oracle import largest_difference

SETS: list[dict[str, float]] = [{"a": 1.0}, {}, {"b": 0.7}, {"a": 0.5, "c": 1.2}, {"c": 1.0}, {"d": -1.0}]

each_family = pytest.mark.parametrize("loras", tuple(CASES), indirect=True)
two_families = pytest.mark.parametrize("loras", ["stable_diffusion_xl", "flux dev"], indirect=True)


@each_family
def test_single_run_equals_peft(loras: LoraModel) -> None:
    for chosen in SETS:
        parameters = loras.asked(chosen, steps=2, guidance_scale=3.0, negative_prompt="blurry")
        driven = loras.model.engine()
        driven.draw("run", parameters)
        loras.assert_equals_peft(driven, "run", parameters)


@each_family
def test_runs_with_different_sets_share_each_pass(loras: LoraModel) -> None:
    asked = {
        str(number): loras.asked(
            chosen, steps=2, guidance_scale=3.0, seed=number, prompt="fox " * (number + 1)
        )
        for number, chosen in enumerate(SETS)
    }
    driven = warm_engine(loras)
    for run_id, parameters in asked.items():
        driven.start(run_id, parameters)
    driven.run_to_end()
    assert loras.model.family.batches == [len(SETS)] * 2
    for run_id, parameters in asked.items():
        loras.assert_equals_peft(driven, run_id, parameters)


@two_families
@pytest.mark.parametrize("others", [0, 1])
def test_run_with_loras_continues_after_its_model_was_loaded_again(loras: LoraModel, others: int) -> None:
    """Each load makes a new family, which has read no LoRA yet."""

    def load(name: str) -> Any:
        family: Any = load_family(specs[name], CPU, max_batch=8)
        predict = family.predict

        def timed(states: Any) -> Any:
            driven.now += 3.0  # a step takes long enough for the models to take turns
            return predict(states)

        family.predict = timed
        loads.append(name)
        return family

    specs = {name: loras.model.spec.model_copy(update={"name": name}) for name in ("one", "two")}
    loads: list[str] = []
    families: Any = dict.fromkeys(specs)
    driven = DrivenEngine(families, load=load, model_switch_patience_seconds=5.0)

    def start(run_id: str, model: str, chosen: dict[str, float], **fields: Any) -> None:
        driven.start(run_id, loras.asked(chosen, **fields).model_copy(update={"model": model}))

    start("with a LoRA", "one", {"b": 0.7}, steps=20, seed=1)
    for number in range(others):
        start(f"plain {number}", "one", {}, steps=20, seed=2)
    driven.step(2)
    start("of another model", "two", {}, steps=2, seed=3)
    driven.run_to_end()
    assert loads == ["one", "two", "one"]
    assert not driven.of_kind(RunFailed)
    assert len(driven.drawn_runs) == 2 + others


@two_families
def test_joining_and_leaving_runs_do_not_change_the_others(loras: LoraModel) -> None:
    """Runs with new sets join midway, one leaves, and the slots are made again for a higher rank."""
    model = loras.with_loras(loras.files).model
    early = loras.asked({"a": 1.0}, steps=6, seed=1)
    driven = model.engine()
    driven.start("early", early)
    driven.step(2)
    driven.start("late", loras.asked({"b": 0.7, "c": 1.0}, steps=3, seed=2))
    driven.start("stopped", loras.asked({"d": 1.0}, steps=5, seed=3))
    driven.step()
    driven.interrupt("stopped")
    driven.run_to_end()
    (image,) = driven.of_kind(ImageReady, "early")
    assert image.draw_conditions.batches[:5] == (1, 1, 3, 2, 2)
    assert model.family.largest_error <= STEP_TOLERANCE
    assert largest_difference(driven.picture("early"), loras.drawn_by_peft(early).pixels) <= 1


@two_families
def test_run_resumes_bit_equal(loras: LoraModel) -> None:
    model, parameters = loras.model, loras.asked({"a": 0.5, "c": 1.2}, steps=5)
    model.engine().draw("run", parameters)
    latents = model.family.final_latents[parameters.seed]
    checkpoint = checkpoint_of(model, parameters, after_steps=2)
    # A set of a higher rank makes the slots again; the Run's own rank stays the same.
    fresh = loras.with_loras(loras.files).model
    fresh.engine().draw("other", loras.asked({"b": 1.0, "c": 1.0}))
    driven = resumed(fresh, parameters, checkpoint)
    (image,) = driven.of_kind(ImageReady)
    assert image.resumed_at_step == 2
    assert torch.equal(fresh.family.final_latents[parameters.seed], latents)


@two_families
def test_scale_of_zero_equals_no_lora(loras: LoraModel) -> None:
    model = loras.model
    model.engine().draw("none", loras.asked({}))
    without = model.family.final_latents[7]
    driven = model.engine()
    driven.draw("zero", loras.asked({"a": 0.0}))
    assert torch.equal(model.family.final_latents[7], without)
    (image,) = driven.of_kind(ImageReady)
    assert image.draw_conditions.loras == ()


@two_families
def test_order_of_a_request_does_not_change_the_image(loras: LoraModel) -> None:
    pictures = []
    for chosen in ({"a": 0.5, "c": 1.2}, {"c": 1.2, "a": 0.5}):
        driven = loras.model.engine()
        driven.draw("run", loras.asked(chosen))
        pictures.append(driven.picture("run").tobytes())
    assert pictures[0] == pictures[1]


@two_families
def test_record_names_each_lora_with_scale_and_digest(loras: LoraModel) -> None:
    driven = loras.model.engine()
    driven.draw("run", loras.asked({"c": 1.2, "a": 0.5}))
    (image,) = driven.of_kind(ImageReady)
    assert [(lora.name, lora.scale, lora.sha256) for lora in image.draw_conditions.loras] == [
        (name, scale, hashlib.sha256(loras.files[name].read_bytes()).hexdigest())
        for name, scale in (("a", 0.5), ("c", 1.2))
    ]


@two_families
def test_checkpoint_of_another_lora_file_is_refused(loras: LoraModel, tmp_path: Path) -> None:
    parameters = loras.asked({"a": 1.0})
    checkpoint = checkpoint_of(loras.model, parameters, after_steps=2)
    assert refusal(loras.model, parameters, checkpoint) is None
    assert refusal(loras.model, loras.asked({"a": 0.9}), checkpoint) == "made for another picture"
    replaced = loras.with_loras({**loras.files, "a": loras.files["c"]})
    assert refusal(replaced.model, parameters, checkpoint) == "made for another weights"


@two_families
def test_run_waits_while_all_slots_are_taken(loras: LoraModel) -> None:
    model = loras.with_loras(loras.files, most_sets=2).model
    driven = warm_engine(loras)
    for number, chosen in enumerate(({"a": 1.0}, {"b": 1.0}, {"c": 1.0}, {}, {"a": 1.0})):
        driven.start(str(number), loras.asked(chosen, steps=2, seed=number))
    driven.run_to_end()
    assert sorted(driven.drawn_runs) == ["0", "1", "2", "3", "4", "first"]
    assert model.family.batches == [4, 4, 1, 1]
    assert model.family.largest_error <= STEP_TOLERANCE


@two_families
def test_released_slots_are_made_again(loras: LoraModel) -> None:
    model, parameters = loras.model, loras.asked({"a": 1.0, "b": 0.5})
    model.engine().draw("first", parameters)
    latents = model.family.final_latents[parameters.seed]
    assert model.family.loras.device_bytes > 0
    model.family.release()
    assert model.family.loras.device_bytes == 0
    model.engine().draw("second", parameters)
    assert torch.equal(model.family.final_latents[parameters.seed], latents)


each_shortage = pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("out of memory"), torch.AcceleratorError("CUDA error: out of memory")]
)


@each_shortage
@two_families
def test_set_that_does_not_fit_fails_its_run_and_changes_no_other(
    loras: LoraModel, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    driven, small = warm_engine(loras), loras.asked({"a": 1.0}, steps=2, guidance_scale=3.0)
    driven.draw("small", small)
    limit, zeros = 1.5 * loras.model.family.loras.device_bytes, SlotBank._zeros

    def limited(bank: SlotBank, *shape: int) -> torch.Tensor:
        made = zeros(bank, *shape)
        if bank.nbytes + made.nbytes > limit:
            raise error
        return made

    monkeypatch.setattr(SlotBank, "_zeros", limited)
    driven.start("beside", small)
    driven.start("large", loras.asked({"b": 1.0, "c": 1.0, "d": 1.0}, steps=2))
    driven.run_to_end()
    driven.draw("afterwards", small)
    (failed,) = driven.of_kind(RunFailed)
    assert (failed.run_id, failed.failure.code) == ("large", FailureCode.OUT_OF_GPU_MEMORY)
    assert "its LoRAs need" in failed.failure.message
    for run_id in ("small", "beside", "afterwards"):
        loras.assert_equals_peft(driven, run_id, small)
    assert driven.caps.cap_of(BatchKey.of(small)) == 8


@two_families
def test_file_that_disappears_fails_only_the_runs_that_use_it(
    loras: LoraModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_loras, "CACHED_LORA_BYTES", 0)  # no file stays in memory
    file = Path(shutil.copy(loras.files["a"], tmp_path))
    driven = warm_engine(loras.with_loras({**loras.files, "a": file}))
    driven.start("early", loras.asked({"a": 1.0}, seed=1))
    driven.step()
    file.unlink()
    # Of a higher rank: all slots are made again.
    late = loras.asked({"b": 1.0, "c": 1.0}, seed=2, steps=2, guidance_scale=3.0)
    driven.start("late", late)
    driven.run_to_end()
    assert (driven.failed_runs, driven.drawn_runs) == (["early"], ["first", "late"])
    loras.assert_equals_peft(driven, "late", late)


@pytest.mark.parametrize("loras", ["stable_diffusion_xl"], indirect=True)
def test_prompt_is_encoded_again_only_for_loras_of_text_encoders(loras: LoraModel) -> None:
    family = loras.with_loras(loras.files).model.family
    family.release()
    encoded: list[str] = []

    def encode(texts: list[str], kind: Any) -> Any:
        encoded.extend(texts)
        return type(family).encode(family, texts, kind)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(family, "encode", encode)
        for chosen in ({}, {"b": 1.0}, {"a": 1.0}, {"a": 1.0, "b": 1.0}, {"a": 0.5}):
            family.prepare(loras.asked(chosen, guidance_scale=1.0), seed=1)
    assert len(encoded) == 3


@pytest.mark.parametrize("loras", ["stable_diffusion"], indirect=True)
def test_step_with_a_lora_is_compared_with_a_plain_one(loras: LoraModel) -> None:
    family, selected = loras.model.family, list[bool]()

    def timed(device: Device, work: Callable[[], object]) -> list[float]:
        work()
        selected.append(family.loras.device_bytes > 0)
        return [0.15 if selected[-1] else 0.1]

    found = measure_step_factors(family, loras.model.spec, loras.asked({}), CPU, timed=timed)
    assert selected == [False, True]
    assert (found.loras, found.control) == pytest.approx((1.5, 1.0))
    assert family.loras.device_bytes == 0, "no task has used a slot"


@each_shortage
@pytest.mark.parametrize("loras", ["stable_diffusion"], indirect=True)
def test_step_with_a_lora_that_does_not_fit_has_no_factor(loras: LoraModel, error: Exception) -> None:
    family = loras.model.family

    def timed(device: Device, work: Callable[[], object]) -> list[float]:
        work()
        if family.loras.device_bytes:
            raise error
        return [0.1]

    found = measure_step_factors(family, loras.model.spec, loras.asked({}), CPU, timed=timed)
    assert (found, family.loras.device_bytes) == (NO_FACTORS, 0)


@pytest.mark.parametrize("loras", ["stable_diffusion"], indirect=True)
def test_lora_without_a_file_has_no_factor(loras: LoraModel, tmp_path: Path) -> None:
    absent = loras.with_loras({"absent": tmp_path / "absent.safetensors"})
    found = measure_step_factors(absent.model.family, absent.model.spec, loras.asked({}), CPU)
    assert found == NO_FACTORS


def test_failed_write_of_a_slot_leaves_no_set_in_anothers_slot() -> None:
    """Images of another task would get the wrong LoRA."""
    network = torch.nn.Sequential(torch.nn.Linear(4, 4, bias=False))
    sets: dict[str, LoraSet] = {
        name: (AppliedLora(name=name, scale=1.0, sha256=name * 64),) for name in "abc"
    }
    pairs = {
        sets[name]: {"0": Pair(torch.full((1, 4), float(number)), torch.ones(4, 1), 1.0)}
        for number, name in enumerate(sets, start=1)
    }
    bank = SlotBank(
        network,
        device=torch.device("cpu"),
        dtype=torch.float32,
        join=lambda chosen: Joined([(pairs[chosen], 1.0)]),
        most_sets=2,
    )
    rows = torch.ones(1, 4)
    plain = network(rows)

    def change_of(name: str) -> float:
        bank.select([sets[name]])
        return float((network(rows) - plain)[0, 0])

    with torch.inference_mode():
        expected = {name: change_of(name) for name in "ab"}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(bank, "_write", raise_out_of_memory)
            with pytest.raises(torch.OutOfMemoryError):
                change_of("c")
        for name in "bcb":
            expected.setdefault(name, change_of(name))
            assert change_of(name) == expected[name]


def raise_out_of_memory(*_given: object) -> None:
    raise torch.OutOfMemoryError
