"""The files of a model are hashed while it is loaded, each once per process."""

import hashlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from gpu_subscriber.engine.errors import ModelRefusedError
from gpu_subscriber.engine.models import loading, weight_digests
from gpu_subscriber.engine.models.loading import load_family
from gpu_subscriber.engine.models.pipeline_parts import PipelineParts
from gpu_subscriber.engine.models.weight_digests import WeightDigests
from tests.unit.gpu_subscriber.engine.driven_engine import CPU, DrivenEngine, spec
from tests.unit.gpu_subscriber.engine.tiny_pipelines import tiny_stable_diffusion

PATIENCE_SECONDS = 60.0


class Hashing:
    """Records the files that are hashed. `before` is called first, on the thread that hashes."""

    def __init__(self) -> None:
        self.files: list[str] = []
        self.before: Callable[[], object] = lambda: None
        self._digest: Callable[..., Any] = hashlib.file_digest

    def __call__(self, opened: Any, digest: str) -> Any:
        self.files.append(Path(opened.name).name)
        self.before()
        return self._digest(opened, digest)


@pytest.fixture
def hashing(monkeypatch: pytest.MonkeyPatch) -> Hashing:
    hashing = Hashing()
    monkeypatch.setattr(hashlib, "file_digest", hashing)
    return hashing


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "unet.safetensors"
    file.write_bytes(b"before")
    return file


def started(*files: Path) -> WeightDigests:
    digests = WeightDigests()
    digests.start({file.name: file for file in files})
    return digests


@pytest.mark.parametrize("family", ["stable_diffusion", "whole_pipeline"])
def test_images_wait_for_no_file(tmp_path: Path, hashing: Hashing, family: str) -> None:
    folder = tiny_stable_diffusion(tmp_path / "tiny")
    loaded = load_family(spec(source=str(folder), family=family), CPU)
    driven = DrivenEngine(loaded)
    hashing.files.clear()
    driven.draw("run")
    assert (driven.drawn_runs, hashing.files) == (["run"], [])


def test_files_are_hashed_while_the_model_is_loaded(
    tmp_path: Path, hashing: Hashing, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_read, in_time = threading.Event(), list[bool]()
    hashing.before = lambda: in_time.append(is_read.wait(PATIENCE_SECONDS))
    read = PipelineParts.pipeline

    def pipeline(parts: PipelineParts) -> Any:
        pipeline = read(parts)
        is_read.set()
        return pipeline

    monkeypatch.setattr(PipelineParts, "pipeline", pipeline)
    loaded = load_family(spec(source=str(tiny_stable_diffusion(tmp_path / "tiny"))), CPU)
    assert in_time == [True] * len(loaded.origin.weights), "reading the networks waited for their hashes"


def test_changed_file_is_hashed_again(file: Path) -> None:
    before = started(file).wait()
    file.write_bytes(b"afterwards")
    assert started(file).wait() == {file.name: hashlib.sha256(b"afterwards").hexdigest()} != before


def test_file_is_hashed_once_while_a_load_is_repeated(file: Path, hashing: Hashing) -> None:
    go_on = threading.Event()
    hashing.before = lambda: go_on.wait(PATIENCE_SECONDS)
    abandoned, repeated = started(file), started(file)
    go_on.set()
    assert abandoned.wait() == repeated.wait() == started(file).wait()
    assert hashing.files == [file.name]


def test_failed_load_hashes_no_further_files(
    tmp_path: Path, hashing: Hashing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files that are being hashed are finished. A later load hashes the others."""

    def refused(spec: Any, pipeline: Any) -> None:
        raise ModelRefusedError("the entry does not fit")

    go_on, folder = threading.Event(), tiny_stable_diffusion(tmp_path / "tiny")
    hashing.before = lambda: go_on.wait(PATIENCE_SECONDS)
    monkeypatch.setattr(weight_digests, "_HASHING", hashing_alone := ThreadPoolExecutor(1))
    with monkeypatch.context() as entry:
        entry.setattr(loading, "check_entry", refused)
        with pytest.raises(ModelRefusedError):
            load_family(spec(source=str(folder)), CPU)
    go_on.set()
    hashing_alone.submit(lambda: None).result()
    assert len(hashing.files) <= 1
    loaded = load_family(spec(source=str(folder)), CPU)
    assert len(hashing.files) == len(loaded.origin.weights) > 1


def test_file_that_cannot_be_read_fails_the_load_and_is_read_again(file: Path, hashing: Hashing) -> None:
    def refuse() -> None:
        raise OSError("the file system does not answer")

    hashing.before = refuse
    with pytest.raises(OSError, match="does not answer"):
        started(file).wait()
    hashing.before = lambda: None
    assert started(file).wait() == {file.name: hashlib.sha256(b"before").hexdigest()}
