"""CPU time of refused bodies of the maximum size.

Measured on the request's thread: Flask, checks and the problem, without gunicorn or network. The bodies are the most
expensive ones known. The API is the real one with fakes, whose store is never called.
"""

import gc
import json
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from structlog.testing import capture_logs

from benchmarks.measurement import spread_of
from frontend_api.http.json_body import MAX_BODY_BYTES
from frontend_api.tasks.schemas import MAX_BATCH_BYTES, MAX_BATCH_ITEMS, BatchItem
from tests.unit.frontend_api.conftest import Api

ROUNDS = 7
MARK_MS = 50


def run() -> list[str]:
    with tempfile.TemporaryDirectory() as folder, capture_logs():
        api = Api(folder=Path(folder))
        api.submit()
        gc.collect()
        gc.freeze()  # as gunicorn_conf.py does
        lines = [_line(api, name, "/v1/tasks", body) for name, body in _singles().items()]
        lines += [_line(api, name, "/v1/tasks:batch", body) for name, body in _batches().items()]
    return [f"the mark: {MARK_MS} ms", *lines]


def _line(api: Api, name: str, path: str, body: bytes) -> str:
    spent = []
    for _ in range(ROUNDS):
        began = time.thread_time()
        answer = api.client.post(path, data=body, content_type="application/json")
        spent.append((time.thread_time() - began) * 1_000)
        assert answer.status_code != 202
        assert answer.get_json().get("accepted", 0) == 0
    return f"{name}, {len(body):,} bytes: {spread_of(spent).said(' ms', 1)}"


def _singles() -> Mapping[str, bytes]:
    fields = BatchItem.model_fields
    return {
        "70,000 label names": _written({"prompt": "a", "labels": {f"L{n}": "" for n in range(70_000)}}),
        "80,000 unknown fields": _written({f"f{n}": 1 for n in range(80_000)}),
        "950 labels": _written({"prompt": "a", "labels": {f"L{n}": "" for n in range(950)}}),
        "every field wrong": _written({name: [] for name in fields}),
        "a prompt of 1 MB": _written({"prompt": "a, " * ((MAX_BODY_BYTES - 20) // 3)}),
        "500,000 escapes": b'{"prompt": "' + b"\\\\" * (MAX_BODY_BYTES // 2 - 20) + b'"}',
        "numbers of 390 digits": b'{"prompt": [' + b",".join([b"9" * 390] * 990) + b"]}",
        "a fraction of a million digits": b'{"steps": 0.' + b"9" * (MAX_BODY_BYTES - 20) + b"}",
        "nested half a million deep": b'{"prompt": ' + b"[" * (MAX_BODY_BYTES - 20) + b"}",
    }


def _batches() -> Mapping[str, bytes]:
    fields = BatchItem.model_fields
    text = "a, " * (MAX_BATCH_BYTES // MAX_BATCH_ITEMS // 3 - 40)
    label = "v" * (MAX_BATCH_BYTES // MAX_BATCH_ITEMS // 16 - 20)
    many: dict[str, Any] = {f"f{n}": 1 for n in range(3_000)}
    empty = b"{}," * (MAX_BATCH_BYTES // 3 - 10)
    return {
        "3,000 unknown fields in each of 100": _written({"tasks": [many] * 100}),
        "every field of 100 wrong": _written({"tasks": [{name: [] for name in fields}] * 100}),
        "16 long labels in each of 100": _written(
            {"tasks": [{"prompt": "a", "labels": {f"l{n}": label for n in range(16)}}] * 100}
        ),
        "30 unknown fields in each of 100": _written({"tasks": [dict.fromkeys(list(many)[:30], 1)] * 100}),
        "beyond the model's limits in each of 100": _written(
            {"tasks": [{"prompt": text, "steps": 5_000, "width": 5, "height": 5, "num_images": 99}] * 100}
        ),
        "two million escapes": b'{"tasks": [{"prompt": "' + b"\\\\" * (MAX_BATCH_BYTES // 2 - 20) + b'"}]}',
        "1.3 million empty objects": b'{"tasks": [' + empty + b"{}]}",
    }


def _written(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()
