"""A model is downloaded from a server with the hub's paths: checked, complete, and never twice."""

import fcntl
import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud.storage import Bucket, Client
from werkzeug.serving import make_server

from common.catalog_file import parse_catalog
from common.model_files.single_file import CONFIGS
from common.model_files.weights import UnservableModelError
from gpu_subscriber import download_model
from gpu_subscriber.download_model import download, parser
from gpu_subscriber.model_download.checks import checked_model
from gpu_subscriber.model_download.copying import copy_files
from gpu_subscriber.model_download.destinations import BucketDestination
from gpu_subscriber.model_download.hub import HubRepository, ModelDownloadError
from local_stack.bucket_server.app import create_app
from local_stack.bucket_server.object_store import ObjectStore
from tests.fakes.hub_server import COMMIT, TOKEN, Repository, hub_server

NAME = "owner/tiny"
UNET = "unet/diffusion_pytorch_model.safetensors"
WEIGHTS = (UNET, "vae/diffusion_pytorch_model.safetensors", "text_encoder/model.safetensors")


def safetensors(*values: int, end: int | None = None) -> bytes:
    """Return a file with one tensor of bytes; `end` is where its header says that it ends."""
    tensor = {"dtype": "U8", "shape": [len(values)], "data_offsets": [0, len(values) if end is None else end]}
    header = json.dumps({"weight": tensor}).encode()
    return len(header).to_bytes(8, "little") + header + bytes(values)


def stable_diffusion() -> Repository:
    """A model with true configurations and small weights, and what repositories have besides."""
    model = Repository.of_folder(CONFIGS / "stable_diffusion")
    for number, name in enumerate(WEIGHTS):
        model.files[name] = safetensors(*range(number, number + 200))
    model.files["README.md"] = b"# A model"
    model.files["unet/diffusion_pytorch_model.fp16.safetensors"] = safetensors(7, 8)
    model.files["unet/diffusion_pytorch_model.bin"] = b"a pickle of the same network"
    return model


@contextmanager
def served(model: Repository) -> Iterator[Callable[..., dict[str, Any]]]:
    """Yield the command as a function of its options."""
    with hub_server({NAME: model}) as endpoint:

        def run(*options: object, model: str = NAME, token: str | None = None) -> dict[str, Any]:
            return download(parser().parse_args([model, *map(str, options)]), endpoint=endpoint, token=token)

        yield run


def files_in(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def test_download_has_the_files_that_the_worker_loads_and_no_others(tmp_path: Path) -> None:
    model = stable_diffusion()
    with served(model) as run:
        entry = run("--to", tmp_path, "--catalog", tmp_path / "models.json")
    stored = files_in(tmp_path / "tiny")
    assert json.loads(stored.pop("catalog_entry.json")) == entry
    assert {name: model.files[name] for name in stored} == stored
    assert {*WEIGHTS, "model_index.json", "tokenizer/vocab.json"} <= set(stored)
    assert not any(
        name.endswith((".bin", ".fp16.safetensors", ".md")) for name in (*stored, *model.downloaded)
    )
    assert (entry["source"], entry["family"]) == (str(tmp_path / "tiny"), "stable_diffusion")
    (spec,) = parse_catalog((tmp_path / "models.json").read_bytes(), beside=tmp_path).models
    assert (spec.name, spec.source) == ("tiny", entry["source"])


def test_second_download_skips_what_is_there(tmp_path: Path) -> None:
    model = stable_diffusion()
    with served(model) as run:
        run("--to", tmp_path)
        model.requests.clear()
        (tmp_path / "tiny" / UNET).write_bytes(b"damaged since")
        run("--to", tmp_path)
        whole = {name for name, wanted in model.requests if wanted is None}
    assert whole == {UNET}
    assert (tmp_path / "tiny" / UNET).read_bytes() == model.files[UNET]


def test_broken_connection_is_resumed_at_the_same_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 50)
    model = stable_diffusion()
    model.cut_after = {UNET: 100}
    with served(model) as run:
        run("--to", tmp_path)
    assert (UNET, "bytes=100-") in model.requests
    assert (tmp_path / "tiny" / UNET).read_bytes() == model.files[UNET]


def test_next_run_continues_a_file_of_an_interrupted_one(tmp_path: Path) -> None:
    model = stable_diffusion()
    part = tmp_path / "tiny" / f"{UNET}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(model.files[UNET][:150])
    with served(model) as run:
        run("--to", tmp_path)
    assert (UNET, "bytes=150-") in model.requests
    assert (tmp_path / "tiny" / UNET).read_bytes() == model.files[UNET]
    assert not part.exists()


@pytest.mark.parametrize("step", ["copy_files", "merge_entry"])
def test_commands_at_the_same_time_run_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Otherwise both would write one file, or one of two entries of the catalog would be lost."""
    real_step, real_lock = getattr(download_model, step), fcntl.flock
    events: list[str] = []
    second: list[Future[Any]] = []
    second_waits_or_runs = threading.Event()
    command = ("--to", tmp_path, "--catalog", tmp_path / "models.json")

    def held(*arguments: Any, **options: Any) -> None:
        events.append("begin")
        if len(events) == 1:
            second.append(pool.submit(run, *command))
            assert second_waits_or_runs.wait(60)
        second_waits_or_runs.set()
        real_step(*arguments, **options)
        events.append("end")

    def lock(file: Any, operation: int) -> None:
        if events == ["begin"] and not operation & fcntl.LOCK_NB:
            second_waits_or_runs.set()
        real_lock(file, operation)

    monkeypatch.setattr(download_model, step, held)
    monkeypatch.setattr(fcntl, "flock", lock)
    with served(stable_diffusion()) as run, ThreadPoolExecutor(1) as pool:
        assert run(*command) == second[0].result()
    assert events == ["begin", "end"] * 2


def test_file_with_another_hash_does_not_appear(tmp_path: Path) -> None:
    model = stable_diffusion()
    model.sends = {UNET: model.files[UNET][:-1] + b"\0"}
    with served(model) as run, pytest.raises(ModelDownloadError, match="another hash than the hub states"):
        run("--to", tmp_path)
    assert not list(tmp_path.rglob("diffusion_pytorch_model*"))
    assert not (tmp_path / "tiny" / "model_index.json").exists()


@pytest.mark.parametrize(
    ("name", "refused"), [(UNET, UnservableModelError), ("unet/config.json", ModelDownloadError)]
)
def test_file_with_another_size_is_refused(tmp_path: Path, name: str, refused: type[Exception]) -> None:
    model = stable_diffusion()
    model.states_size = {name: len(model.files[name]) + 1}
    with served(model) as run, pytest.raises(refused, match=r"its tensors have 200 bytes|should be of size"):
        run("--to", tmp_path)
    assert not (tmp_path / "tiny" / "model_index.json").exists()


def without(model: Repository, *names: str) -> Repository:
    for name in names:
        del model.files[name]
    return model


def with_file(name: str, content: bytes) -> Repository:
    model = stable_diffusion()
    model.files[name] = content
    return model


def with_index(**fields: object) -> Repository:
    index = json.loads((CONFIGS / "stable_diffusion" / "model_index.json").read_bytes())
    return with_file("model_index.json", json.dumps({**index, **fields}).encode())


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (without(stable_diffusion(), UNET, UNET.replace(".saf", ".fp16.saf")), "only pickled weights"),
        (without(stable_diffusion(), "model_index.json"), "not in the layout of diffusers"),
        (with_index(_class_name=["pipeline", "Own"]), "is never run"),
        (with_index(_class_name="StableVideoDiffusionPipeline"), "cannot be served"),
        (
            Repository(with_index(unet=["own", "Net"]).files | {"unet/own.py": b"import os"}),
            "code in the model's folder, which is never run",
        ),
        (with_file(UNET, b"\x80\x04 a pickle with another name"), "impossible length"),
        (with_file(UNET, safetensors(1, 2, end=3)), "has 3 bytes, its shape 2"),
        (with_file(UNET, safetensors(1, 2) + b"more"), "its tensors have 2 bytes, and the file 6"),
    ],
)  # fmt: skip
def test_model_that_the_worker_would_not_load_is_refused(
    tmp_path: Path, model: Repository, reason: str
) -> None:
    with served(model) as run, pytest.raises(UnservableModelError, match=reason):
        run("--to", tmp_path)
    assert not list(tmp_path.iterdir())
    assert not any(wanted is None for _, wanted in model.requests), "no file is downloaded before the checks"


def test_repository_with_a_path_outside_is_refused(tmp_path: Path) -> None:
    model = with_file("unet/../../evil.json", b"{}")
    with served(model) as run, pytest.raises(ModelDownloadError, match="no path inside it"):
        run("--to", tmp_path)


def test_model_above_the_limit_is_refused_before_the_download(tmp_path: Path) -> None:
    model = stable_diffusion()
    with served(model) as run, pytest.raises(ModelDownloadError, match="and the limit is"):
        run("--to", tmp_path, "--max-gigabytes", "0.000001")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("token", [None, "hf_of_another_user"])
def test_gated_model_needs_a_token_with_access(tmp_path: Path, token: str | None) -> None:
    model = stable_diffusion()
    model.gated = True
    with served(model) as run:
        with pytest.raises(ModelDownloadError, match="is gated"):
            run("--to", tmp_path, token=token)
        assert not list(tmp_path.iterdir())
        run("--to", tmp_path, token=TOKEN)
    assert (tmp_path / "tiny" / UNET).exists()


def test_unknown_model_and_revision_are_reported(tmp_path: Path) -> None:
    with served(stable_diffusion()) as run:
        with pytest.raises(ModelDownloadError, match="the hub has no model owner/other"):
            run(model="owner/other")
        with pytest.raises(ModelDownloadError, match="no such revision"):
            run("--revision", "gone")


def test_variant_and_single_file_are_downloaded_alone(tmp_path: Path) -> None:
    model = stable_diffusion()
    model.files["one.safetensors"] = single_file()
    with served(model) as run:
        half = run("--to", tmp_path, "--name", "half", "--variant", "fp16")
        single = run("--to", tmp_path, "--name", "single", "--file", "one.safetensors")
    assert (tmp_path / "half" / "unet" / "diffusion_pytorch_model.fp16.safetensors").exists()
    assert not (tmp_path / "half" / UNET).exists()
    assert (half["name"], half["variant"]) == ("half", "fp16")
    assert set(files_in(tmp_path / "single")) == {"one.safetensors", "catalog_entry.json"}
    assert (single["source"], single["family"]) == (
        str(tmp_path / "single" / "one.safetensors"),
        "stable_diffusion",
    )


def single_file() -> bytes:
    """Return the header of a Stable Diffusion 1 checkpoint, with the tensors that show its layout."""
    shapes = {
        "model.diffusion_model.input_blocks.0.0.weight": (320, 4, 3, 3),
        "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (320, 768),
    }
    header, data = {}, b""
    for name, shape in shapes.items():
        size = 1
        for side in shape:
            size *= side
        header[name] = {"dtype": "U8", "shape": shape, "data_offsets": [len(data), len(data) + size]}
        data += bytes(size)
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def test_merged_entry_keeps_what_an_operator_edited(tmp_path: Path) -> None:
    catalog = tmp_path / "models.json"
    with served(stable_diffusion()) as run:
        run("--catalog", catalog)
        content = json.loads(catalog.read_bytes())
        assert (content["models"][0]["source"], content["models"][0]["revision"]) == (NAME, COMMIT)
        content["models"][0] |= {"title": "My title"}
        catalog.write_text(json.dumps(content))
        run("--to", tmp_path / "weights", "--catalog", catalog)
        run("--to", tmp_path / "weights", "--name", "second", "--catalog", catalog)
    first, second = json.loads(catalog.read_bytes())["models"]
    assert (first["title"], first["source"]) == ("My title", str(tmp_path / "weights" / "tiny"))
    assert "revision" not in first
    assert second["name"] == "second"


def test_catalog_that_would_become_invalid_is_left_alone(tmp_path: Path) -> None:
    catalog = tmp_path / "models.json"
    catalog.write_text('{"models": [{"name": "A bad name"}]}')
    with (
        served(stable_diffusion()) as run,
        pytest.raises(ModelDownloadError, match="not a valid model catalog"),
    ):
        run("--catalog", catalog)
    assert catalog.read_text() == '{"models": [{"name": "A bad name"}]}'


def test_entry_for_a_bucket_names_the_mounted_folder() -> None:
    with served(stable_diffusion()) as run:
        entry = run("--to", "gs://weights/models/", "--name", "sd", "--no-copy")
        on_disk = run("--to", "gs://weights/models", "--no-copy", "--mounted-at", "/disk")
    assert entry["source"] == "/weights/models/sd"
    assert on_disk["source"] == "/disk/models/tiny"


@pytest.fixture
def bucket(tmp_path: Path) -> Iterator[Bucket]:
    """A bucket of the local stack's server."""
    server = make_server("127.0.0.1", 0, create_app(ObjectStore(tmp_path / "objects")), threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    client = Client(
        project="p",
        credentials=AnonymousCredentials(),
        client_options={"api_endpoint": f"http://127.0.0.1:{server.server_port}"},
    )
    yield client.create_bucket("weights")
    client.close()
    server.shutdown()
    server.server_close()
    thread.join()


def test_bucket_gets_each_file_once_and_only_with_its_hash(tmp_path: Path, bucket: Bucket) -> None:
    model = stable_diffusion()
    destination = BucketDestination(bucket, "models/tiny")
    good, model.sends = model.files[UNET], {UNET: b"x" * len(model.files[UNET])}
    reported: list[str] = []
    with hub_server({NAME: model}) as endpoint:
        repository = HubRepository.open(NAME, endpoint=endpoint)
        (tmp_path / "scratch").mkdir()
        files = checked_model_of(repository, model, good, tmp_path / "scratch")
        with pytest.raises(ModelDownloadError, match="another hash"):
            copy_files(repository, files, destination, report=reported.append)
        assert bucket.get_blob(f"models/tiny/{UNET}") is None
        assert bucket.get_blob("models/tiny/model_index.json") is None
        model.sends = {}
        copy_files(repository, files, destination, report=reported.append)
        model.requests.clear()
        copy_files(repository, files, destination, report=reported.append)
    assert model.requests == []
    assert reported[-1].endswith("already there")
    stored = {
        blob.name.removeprefix("models/tiny/"): blob.download_as_bytes() for blob in bucket.list_blobs()
    }
    assert stored == {file.name: model.files[file.name] for file in files}
    assert hashlib.sha256(stored[UNET]).hexdigest() == hashlib.sha256(good).hexdigest()


def checked_model_of(repository: HubRepository, model: Repository, good: bytes, scratch: Path) -> Any:
    """Check the model while it still sends the good file."""
    bad, model.sends = model.sends, {UNET: good}
    files = checked_model(repository, max_bytes=10**9, scratch=scratch).files
    model.sends = bad
    return files


def test_command_prints_the_entry_and_reports_refusals(tmp_path: Path) -> None:
    with hub_server({NAME: stable_diffusion()}) as endpoint:

        def command(*options: object) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [sys.executable, "-m", "gpu_subscriber.download_model", *map(str, options)],
                env={**os.environ, "HF_ENDPOINT": endpoint}, timeout=120, check=False, capture_output=True,
                text=True,
            )  # fmt: skip

        done = command(NAME, "--to", tmp_path)
        refused = command("owner/other", "--to", tmp_path)
    assert (done.returncode, json.loads(done.stdout)["name"]) == (0, "tiny"), done.stderr
    assert f"{NAME} at {COMMIT}: " in done.stderr
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith("download_model: the hub has no model owner/other")
