"""CPU time of the most expensive bodies of the maximum size, rejected and accepted ones.

Measured on the request's thread: Flask, validation and the problem response, without gunicorn or
network. The API's adapters are fakes.
"""

import gc
import json
import tempfile
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from structlog.testing import capture_logs

from benchmarks.measurement import milliseconds, spread_of
from frontend_api.batches.schemas import MAX_BATCH_ITEMS, BatchItem
from frontend_api.http.json_body import MAX_BODY_BYTES
from frontend_api.tasks.changes import MAX_LABELS
from frontend_api.webhooks.callback_headers import MAX_HEADERS
from tests.unit.frontend_api.conftest import Api

ROUNDS = 7
TARGET_MS = 50


def run() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder, capture_logs():
        api = Api(folder=Path(folder))
        api.submit()
        gc.collect()
        gc.freeze()  # as gunicorn_conf.py does
        yield f"target: {TARGET_MS} ms"
        for path, bodies in (("/v1/tasks", _singles()), ("/v1/tasks:batch", _batches())):
            for name, body in bodies.items():
                durations = [
                    milliseconds(partial(_post, api, path, body), time.thread_time) for _ in range(ROUNDS)
                ]
                yield f"{name}, {len(body):,} bytes: {spread_of(durations).format(' ms', 1)}"
        for name, body in _accepted_batches().items():
            _post_accepted(api, body)  # warms up
            durations = [
                milliseconds(partial(_post_accepted, api, body), time.thread_time) for _ in range(ROUNDS)
            ]
            yield f"accepted: {name}, {len(body):,} bytes: {spread_of(durations).format(' ms', 1)}"


def costly_body() -> bytes:
    """Return one of the most expensive rejected bodies of a submission."""
    return _singles()["500,000 escapes"]


def costly_batch() -> bytes:
    """Return one of the most expensive rejected batches."""
    return _batches()["16 long labels in each of 100 tasks"]


def _post(api: Api, path: str, body: bytes) -> None:
    response = api.client.post(path, data=body, content_type="application/json")
    assert response.status_code != 202
    assert response.get_json().get("accepted", 0) == 0


def _post_accepted(api: Api, body: bytes) -> None:
    response = api.client.post("/v1/tasks:batch", data=body, content_type="application/json")
    assert b'"refused":0,"unknown":0,' in response.data[:200], response.data[:200]


def _singles() -> Mapping[str, bytes]:
    fields = BatchItem.model_fields
    return {
        "70,000 label names": _encode({"prompt": "a", "labels": {f"L{n}": "" for n in range(70_000)}}),
        "80,000 unknown fields": _encode({f"f{n}": 1 for n in range(80_000)}),
        "950 labels": _encode({"prompt": "a", "labels": {f"L{n}": "" for n in range(950)}}),
        "every field invalid": _encode({name: [] for name in fields}),
        "a prompt of 1 MB": _encode({"prompt": "a, " * ((MAX_BODY_BYTES - 20) // 3)}),
        "500,000 escapes": b'{"prompt": "' + b"\\\\" * (MAX_BODY_BYTES // 2 - 20) + b'"}',
        "numbers of 390 digits": b'{"prompt": [' + b",".join([b"9" * 390] * 990) + b"]}",
        "a fraction of a million digits": b'{"steps": 0.' + b"9" * (MAX_BODY_BYTES - 20) + b"}",
        "a million nested arrays": b'{"prompt": ' + b"[" * (MAX_BODY_BYTES - 20) + b"}",
    }


def _batches() -> Mapping[str, bytes]:
    fields = BatchItem.model_fields
    text = "a, " * (MAX_BODY_BYTES // MAX_BATCH_ITEMS // 3 - 40)
    label = "v" * (MAX_BODY_BYTES // MAX_BATCH_ITEMS // 16 - 20)
    many: dict[str, Any] = {f"f{n}": 1 for n in range(1_000)}
    empty = b"{}," * (MAX_BODY_BYTES // 3 - 10)
    return {
        "1,000 unknown fields in each of 100 tasks": _encode({"tasks": [many] * 100}),
        "every field of 100 tasks invalid": _encode({"tasks": [{name: [] for name in fields}] * 100}),
        "16 long labels in each of 100 tasks": _encode(
            {"tasks": [{"prompt": "a", "labels": {f"l{n}": label for n in range(16)}}] * 100}
        ),
        "30 unknown fields in each of 100 tasks": _encode(
            {"tasks": [dict.fromkeys(list(many)[:30], 1)] * 100}
        ),
        "beyond the model's limits in each of 100 tasks": _encode(
            {"tasks": [{"prompt": text, "steps": 5_000, "width": 5, "height": 5, "num_images": 99}] * 100}
        ),
        "500,000 escapes in a batch": b'{"tasks": [{"prompt": "'
        + b"\\\\" * (MAX_BODY_BYTES // 2 - 20)
        + b'"}]}',
        "330,000 empty objects": b'{"tasks": [' + empty + b"{}]}",
    }


def _accepted_batches() -> Mapping[str, bytes]:
    """Return batches of 100 tasks: short ones, and with every field of every kind within the maximum size."""
    short = [{"prompt": f"circle {number}"} for number in range(MAX_BATCH_ITEMS)]
    every: dict[str, Any] = {
        "negative_prompt": "blurred, " * 200,
        "labels": {f"label-{number}": "v" * 80 for number in range(MAX_LABELS)},
        "callback_url": "https://hooks.example.com/" + "x" * 400,
        "callback_headers": {f"X-{number}": "v" * 400 for number in range(MAX_HEADERS)},
        "deadline_seconds": 60,
        "seed": 7,
    }
    full = [
        {"prompt": f"{number}, " + "a, " * 600, "idempotency_key": f"{number}", **every}
        for number in range(MAX_BATCH_ITEMS)
    ]
    return {
        "100 short tasks": _encode({"tasks": short}),
        "100 tasks with all fields": _encode({"tasks": full}),
    }


def _encode(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()
