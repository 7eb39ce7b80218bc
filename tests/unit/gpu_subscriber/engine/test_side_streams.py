"""What is queued beside the steps, and which queue waits for which: on streams that record it."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from gpu_subscriber.engine.batches.batch_planning import BatchKey
from gpu_subscriber.engine.batches.memory_needs import MemoryNeeds
from gpu_subscriber.engine.conditions.prompt_embeddings import Kind
from gpu_subscriber.engine.families.decoded import Decoded
from gpu_subscriber.engine.runs.run import Denoising, Rows
from gpu_subscriber.engine.side_streams import SideStream
from tests.fakes.limited_memory import LimitedMemory
from tests.unit.gpu_subscriber.engine.conftest import RecordingFamily
from tests.unit.gpu_subscriber.engine.driven_engine import DrivenEngine, drawing


class RecordingStream(SideStream):
    """Appends what happens to a log that it shares with the family."""

    def __init__(self, name: str, log: list[str]) -> None:
        self._name = name
        self._log = log
        self.given: list[torch.Tensor] = []
        self.handed_over: list[torch.Tensor] = []

    @contextmanager
    def working(self, *given: torch.Tensor) -> Iterator[None]:
        self.given += given
        self._log.append(f"{self._name} begins" + (" after the steps" if given else ""))
        yield
        self._log.append(f"{self._name} ends")

    def hand_over(self, tensors: Iterable[torch.Tensor]) -> None:
        self.handed_over += tensors
        self._log.append("steps wait for " + self._name)

    def join(self) -> None:
        self._log.append(self._name + " joins")


class Logging(RecordingFamily):
    """Appends its work to the log."""

    def __init__(self, stock: Any, log: list[str]) -> None:
        super().__init__(stock)
        self.log = log
        self.is_movable = True

    def encode(self, texts: list[str], kind: Kind) -> list[Rows]:
        self.log.append("encode")
        return super().encode(texts, kind)

    def predict(self, states: Sequence[Denoising]) -> list[torch.Tensor]:
        self.log.append("step")
        return super().predict(states)

    def preview(self, state: Denoising, prediction: torch.Tensor) -> torch.Tensor:
        self.log.append("preview")
        return super().preview(state, prediction)

    def decode_together(self, states: Sequence[Denoising]) -> list[Decoded]:
        self.log.append("decode")
        return super().decode_together(states)

    @property
    def decodes_beside_steps(self) -> bool:
        return self.is_movable


class Streams:
    """An engine whose side streams record their work."""

    def __init__(self, stock: Any, *, memory: LimitedMemory | None = None) -> None:
        self.log: list[str] = []
        self.family = Logging(stock, self.log)
        self.driven = DrivenEngine(self.family, memory=memory)
        self.encoding = self.driven.device.encoding = RecordingStream("encoding", self.log)
        self.decoding = self.driven.device.decoding = RecordingStream("decoding", self.log)
        self.driven.draw("first")  # loads the model, and measures the colours of previews
        self.log.clear()


@pytest.fixture
def streams(stock: Any) -> Streams:
    return Streams(stock)


def test_prompts_are_encoded_before_the_steps_that_wait_for_them(streams: Streams) -> None:
    streams.encoding.handed_over.clear()
    streams.driven.start("run", drawing(prompt="a dog", guidance_scale=1.0, steps=8))
    streams.driven.step()
    before = ["encoding begins", "encode", "encoding ends", "steps wait for encoding", "step"]
    assert streams.log[: len(before)] == before  # a preview may follow
    (embeddings,) = streams.family.encode_alone(drawing(prompt="a dog", guidance_scale=1.0))
    assert [id(row) for row in streams.encoding.handed_over] == [id(row) for row in embeddings.values()]


def test_image_is_decoded_after_its_steps_beside_those_of_others(streams: Streams) -> None:
    streams.driven.start("run", drawing(steps=1))
    streams.driven.start("other", drawing(steps=4, seed=2))
    streams.driven.step()
    streams.log.clear()
    streams.driven.start("new", drawing(steps=1))
    streams.driven.step()
    decoding = streams.log.index("decode")
    assert streams.log[decoding - 1 : decoding + 2] == [
        "decoding begins after the steps",
        "decode",
        "decoding ends",
    ]
    assert "decoding joins" not in streams.log, "the next step does not wait for it"


def test_last_image_counts_as_work_of_the_device(streams: Streams) -> None:
    streams.driven.draw("run", drawing(steps=1))
    assert streams.log[-4:] == [
        "decoding begins after the steps",
        "decode",
        "decoding ends",
        "decoding joins",
    ]


def test_previews_are_made_beside_the_steps(streams: Streams) -> None:
    streams.driven.draw("run", drawing(steps=4))
    preview = streams.log.index("preview")
    assert streams.log[preview - 1 : preview + 2] == [
        "decoding begins after the steps",
        "preview",
        "decoding ends",
    ]


def test_image_is_decoded_between_steps_where_both_use_the_autoencoder(streams: Streams) -> None:
    streams.family.is_movable = False
    streams.driven.draw("run", drawing(steps=1))
    assert streams.log[-4:-1] == ["decoding joins", "decode", "decoding joins"]


@pytest.mark.parametrize(("free", "is_beside"), [(1_000, True), (300, False)])
def test_image_is_decoded_between_steps_when_memory_is_short(stock: Any, free: int, is_beside: bool) -> None:
    memory = LimitedMemory(total=10_000)
    streams = Streams(stock, memory=memory)
    key = BatchKey.of(drawing())
    needs = MemoryNeeds(
        step_bytes=200.0, step_bytes_per_pixel=0.0001, decoding_bytes_per_pixel=200 / (key.width * key.height)
    )
    streams.driven.caps.learn_memory(key, needs)
    memory.used = memory.total - free
    streams.driven.draw("run", drawing(steps=1))
    assert ("decoding begins after the steps" in streams.log) is is_beside


def test_load_waits_for_what_uses_the_memory_of_other_models(stock: Any) -> None:
    streams = Streams(stock)
    driven = DrivenEngine({"tiny": streams.family, "other": RecordingFamily(stock)})
    driven.device.encoding, driven.device.decoding = streams.encoding, streams.decoding
    driven.draw("one", drawing())
    streams.log.clear()
    driven.start("two", drawing(model="other", steps=2))
    driven.step()
    assert streams.log[:4] == ["encoding joins", "decoding joins"] * 2
