"""The API as wsgi.py wires it, on the emulators: behaviour that the fakes cannot test."""

import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from google.auth.credentials import AnonymousCredentials
from google.cloud.firestore import Client
from google.cloud.storage import Client as StorageClient

from common.adapters.firestore_client import firestore_client
from common.adapters.firestore_task_store import FirestoreTaskStore
from common.domain.errors import TaskNotFoundError
from common.domain.images import StoredImage, image_object_name
from common.domain.task import Usage as SpentUsage
from frontend_api.adapters.firestore.task_changes import FirestoreTaskChanges
from frontend_api.identity.emulator_tokens import unsigned_token
from frontend_api.settings import ApiSettings
from frontend_api.wsgi import build_app
from gpu_subscriber.adapters.pubsub_subscriber import subscriber_client
from local_stack.loopback import free_port
from tests.chaos.waiting import wait_for
from tests.emulators import Emulators
from tests.factories import NOW, submitted_task

pytestmark = pytest.mark.emulator
THREE_MODELS = Path(__file__).parents[3] / "terraform" / "tests" / "three_models.json"
PROMPT = {"prompt": "a large red circle"}


@pytest.fixture
def app(emulators: Emulators, monkeypatch: pytest.MonkeyPatch) -> Flask:
    for name, value in emulators.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DARKROOM_METRIC_EXPORTER", "none")  # an exporter lasts as long as the process
    for dependency in ("STORE", "PUBLISH"):  # on a busy machine, slow emulators must not count as unavailable
        monkeypatch.setenv(f"DARKROOM_{dependency}_TIMEOUT_SECONDS", "30")
    return build_app()


@pytest.fixture
def client(app: Flask, emulators: Emulators) -> FlaskClient:
    """A client of a new user, so that lists contain only this test's tasks."""
    client = app.test_client()
    token = unsigned_token(f"user-{uuid.uuid4().hex}", project_id=emulators.names.project_id)
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {token}"
    return client


@pytest.fixture
def firestore(emulators: Emulators) -> Iterator[Client]:
    client = firestore_client(emulators.names.project_id, emulator_host=emulators.firestore_host)
    yield client
    client.close()


@pytest.fixture
def store(firestore: Client) -> FirestoreTaskStore:
    return FirestoreTaskStore(firestore, timeout_seconds=60)


@pytest.fixture
def watch(firestore: Client) -> FirestoreTaskChanges:
    return FirestoreTaskChanges(firestore)


def test_submission_is_stored_confirmed_and_readable(
    client: FlaskClient, store: FirestoreTaskStore, watch: FirestoreTaskChanges
) -> None:
    accepted = client.post("/v1/tasks", json=PROMPT)
    assert accepted.status_code == 202
    task_id = accepted.get_json()["id"]
    noted = threading.Event()
    unfollow = watch.subscribe(store.get(task_id), lambda _: noted.set())
    assert store.get(task_id).enqueued_at is not None or noted.wait(60)
    unfollow()
    assert store.get(task_id).enqueued_at is not None
    read = client.get(accepted.headers["Location"])
    assert read.get_json() == accepted.get_json()
    assert read.headers["ETag"] == accepted.headers["ETag"]
    assert [task["id"] for task in client.get("/v1/tasks").get_json()["tasks"]] == [task_id]


def test_concurrent_equal_submissions_create_one_task(app: Flask, client: FlaskClient) -> None:
    key = {"Idempotency-Key": uuid.uuid4().hex, "Authorization": client.environ_base["HTTP_AUTHORIZATION"]}

    together = threading.Barrier(50)

    def post(_: int) -> tuple[int, str]:
        together.wait(120)
        answer = app.test_client().post("/v1/tasks", json=PROMPT, headers=key)
        return answer.status_code, answer.text

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(post, range(50)))
    assert sorted(status for status, _ in answers) == [200] * 49 + [202]
    assert len({body for _, body in answers}) == 1
    assert len(client.get("/v1/tasks").get_json()["tasks"]) == 1


def test_list_pages_follow_each_other(client: FlaskClient) -> None:
    ids = [client.post("/v1/tasks", json=PROMPT).get_json()["id"] for _ in range(5)]
    first = client.get("/v1/tasks?page_size=3&status=queued&model=demo").get_json()
    second = client.get(
        "/v1/tasks",
        query_string={
            "page_size": 3,
            "page_token": first["next_page_token"],
            "status": "queued",
            "model": "demo",
        },
    ).get_json()
    assert [task["id"] for task in first["tasks"] + second["tasks"]] == ids[::-1]
    assert second["next_page_token"] is None


def test_task_is_cancelled_retried_and_deleted(client: FlaskClient) -> None:
    path = client.post("/v1/tasks", json=PROMPT).headers["Location"]
    assert client.post(f"{path}/cancel").get_json()["status"] == "cancelled"
    assert client.post(f"{path}/retry").get_json()["status"] == "queued"
    assert client.delete(path).status_code == 204
    assert client.get(path).status_code == 404


def test_api_key_works_in_every_process_until_revoked(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = client.post("/v1/keys", json={"name": "nightly", "scopes": ["read", "submit"]}).get_json()
    shown = {"X-API-Key": made["key"]}
    monkeypatch.setenv("DARKROOM_API_KEY_CACHE_SECONDS", "0")
    elsewhere = build_app().test_client()
    submitted = elsewhere.post("/v1/tasks", json=PROMPT, headers=shown)
    assert submitted.status_code == 202
    assert client.get(submitted.headers["Location"]).status_code == 200
    assert elsewhere.delete(f"/v1/keys/{made['id']}", headers=shown).status_code == 403
    assert client.get("/v1/keys").get_json()["keys"][0]["last_used_at"] is not None
    assert client.delete(f"/v1/keys/{made['id']}").status_code == 204
    assert elsewhere.get("/v1/tasks", headers=shown).status_code == 401


def test_processes_share_a_quota_and_accept_replays(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DARKROOM_MAX_ACTIVE_TASKS", "10")
    monkeypatch.setenv("DARKROOM_MAX_SUBMISSIONS_PER_MINUTE", "0")
    processes = [build_app().test_client() for _ in range(2)]

    def post(number: int) -> int:
        headers = {"Authorization": client.environ_base["HTTP_AUTHORIZATION"], "Idempotency-Key": str(number)}
        return processes[number % 2].post("/v1/tasks", json=PROMPT, headers=headers).status_code

    accepted = [post(number) for number in range(14)].count(202)
    assert 10 <= accepted <= 11  # a tenth of the limit for the second process
    assert len(client.get("/v1/tasks?page_size=100").get_json()["tasks"]) == accepted
    assert [post(number) for number in range(4)] == [200] * 4


def test_queue_and_usage_are_read_from_the_store(
    client: FlaskClient, store: FirestoreTaskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = client.get("/v1/queue").get_json()
    task_id = client.post("/v1/tasks", json=PROMPT).get_json()["id"]
    afresh = build_app().test_client()  # nothing measured yet
    afresh.environ_base["HTTP_AUTHORIZATION"] = client.environ_base["HTTP_AUTHORIZATION"]
    queue = afresh.get("/v1/queue").get_json()
    assert queue["queued"] == before["queued"] + 1
    assert queue["oldest_seconds"] >= 0
    assert [model["model"] for model in queue["models"]] == ["demo"]

    now = datetime.now(UTC)
    claim = store.update(task_id, lambda task: task.claimed_by("worker-1", now, timedelta(seconds=60))).claim
    assert claim is not None
    spent = SpentUsage(inference_seconds=2.0, gpu_seconds=1.5, wasted_gpu_seconds=0.5)
    store.update(task_id, lambda task: replace(task.completed(claim, (), now), usage=spent))
    monkeypatch.setenv("DARKROOM_PRICE_PER_GPU_SECOND", "0.001")
    priced = build_app().test_client()
    day = f"{now:%Y-%m-%d}"
    usage = priced.get(
        f"/v1/usage?from={day}&to={day}", headers={"Authorization": client.environ_base["HTTP_AUTHORIZATION"]}
    ).get_json()
    spent_in_all = {"tasks": 1, "gpu_seconds": 1.5, "wasted_gpu_seconds": 0.5, "price": 0.0015}
    assert usage.pop("quotas")
    assert usage == {"currency": "USD", "total": spent_in_all, "days": [{"day": day, **spent_in_all}]}


def test_rescue_publishes_a_task_accepted_without_pubsub(
    emulators: Emulators, client: FlaskClient, store: FirestoreTaskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", f"127.0.0.1:{free_port()}")
    cut_off = build_app(ApiSettings(publish_timeout_seconds=1)).test_client()
    cut_off.environ_base["HTTP_AUTHORIZATION"] = client.environ_base["HTTP_AUTHORIZATION"]
    refused = cut_off.post("/v1/tasks", json=PROMPT)
    assert (refused.status_code, "Retry-After" in refused.headers) == (503, True)
    task_id = refused.get_json()["task_id"]
    assert store.get(task_id).enqueued_at is None
    assert cut_off.get("/readyz").status_code == 503

    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", emulators.pubsub_host)
    monkeypatch.setenv("DARKROOM_RESCUE_NEVER_ENQUEUED_SECONDS", "0")
    token = emulators.environment["DARKROOM_INTERNAL_TOKEN"]
    rescuer = build_app().test_client()
    rescued = rescuer.post("/internal/rescue", headers={"Authorization": f"Bearer {token}"})
    assert rescued.status_code == 200
    assert rescued.get_json()["published"] >= 1
    wait_for(lambda: store.get(task_id).enqueued_at is not None, "the confirmation", timeout_seconds=60)


def test_submission_fails_soon_without_firestore(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", f"127.0.0.1:{free_port()}")
    cut_off = build_app(ApiSettings(store_timeout_seconds=1)).test_client()
    refused = cut_off.post("/v1/tasks", json=PROMPT)
    assert (refused.status_code, refused.get_json()["code"]) == (503, "dependency_unavailable")
    assert refused.get_json()[
        "task_id"
    ]  # without a response, the caller cannot determine whether the write succeeded
    assert app.test_client().get("/readyz").status_code == 200


def test_image_is_served_and_deleted_with_its_task(
    emulators: Emulators, app: Flask, store: FirestoreTaskStore
) -> None:
    client = app.test_client()  # without credentials: the user `local`
    task_id = uuid.uuid4().hex
    task = submitted_task(task_id=task_id, user_id="local")
    name = image_object_name(task.folder, attempt=1, index=0, extension="png")
    bucket = StorageClient(
        project=emulators.names.project_id,
        credentials=AnonymousCredentials(),
        client_options={"api_endpoint": emulators.storage_url},
    ).bucket(emulators.names.images_bucket)
    bucket.blob(name).upload_from_string(b"picture", content_type="image/png")
    image = StoredImage(
        index=0, object_name=name, width=64, height=64, seed=1, content_type="image/png", size_bytes=7,
        sha256="ab" * 32,
    )  # fmt: skip
    store.create(task)
    claim = store.update(task_id, lambda task: task.claimed_by("worker-1", NOW, timedelta(seconds=60))).claim
    assert claim is not None
    store.update(task_id, lambda task: task.completed(claim, (image,), NOW))
    answer = client.get(f"/v1/tasks/{task_id}/images/0")
    assert (answer.status_code, answer.data, answer.get_etag()[0]) == (200, b"picture", "ab" * 32)
    assert client.delete(f"/v1/tasks/{task_id}").status_code == 204
    assert client.delete(f"/v1/tasks/{task_id}").status_code == 404
    assert not bucket.blob(name).exists()


def test_expired_task_is_removed_with_its_objects(
    emulators: Emulators, app: Flask, store: FirestoreTaskStore
) -> None:
    task_id = uuid.uuid4().hex
    task = submitted_task(task_id=task_id, keep_for=timedelta(seconds=1))
    name = f"{task.folder}checkpoints/0.safetensors"
    bucket = StorageClient(
        project=emulators.names.project_id,
        credentials=AnonymousCredentials(),
        client_options={"api_endpoint": emulators.storage_url},
    ).bucket(emulators.names.images_bucket)
    bucket.blob(name).upload_from_string(b"state")
    store.create(task)
    scheduler = {"Authorization": f"Bearer {emulators.environment['DARKROOM_INTERNAL_TOKEN']}"}
    app.test_client().post("/internal/remove-expired", headers=scheduler)
    assert bucket.blob(name).exists()
    store.update(task_id, lambda task: task.cancelled(NOW))
    removed = app.test_client().post("/internal/remove-expired", headers=scheduler)
    assert removed.get_json()["removed"] >= 1
    assert not bucket.blob(name).exists()
    with pytest.raises(TaskNotFoundError):
        store.get(task_id)


def test_recorded_minute_is_in_the_history(emulators: Emulators, app: Flask) -> None:
    client = app.test_client()
    scheduler = {"Authorization": f"Bearer {emulators.environment['DARKROOM_INTERNAL_TOKEN']}"}
    recorded = client.post("/internal/record-history", headers=scheduler)
    assert recorded.status_code == 200, recorded.text
    history = client.get("/v1/operations/history?hours=1").get_json()
    measured = {bucket["start"]: bucket["measured_minutes"] for bucket in history["buckets"]}
    assert measured[recorded.get_json()["minute"]] == 1


def test_api_rejects_unknown_host_names_on_the_emulators(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    def asked_as(host: str, of: Flask = app) -> int:
        return of.test_client().get("/v1/models", headers={"Host": host}).status_code

    assert [asked_as(host) for host in ("localhost:8080", "127.0.0.1", "stack.example")] == [200, 200, 400]
    monkeypatch.setenv("DARKROOM_TRUSTED_HOSTS", '["stack.example"]')
    configured = build_app()
    assert [asked_as(host, configured) for host in ("localhost", "stack.example:80")] == [200, 200]


@pytest.mark.parametrize(("host", "names"), [("127.0.0.1", "*.localhost"), ("192.0.2.1", None)])
def test_pages_have_host_names_of_their_own_for_a_local_firestore(
    app: Flask, monkeypatch: pytest.MonkeyPatch, host: str, names: str | None
) -> None:
    monkeypatch.setenv("DARKROOM_FIRESTORE_BROWSER_HOST", f"{host}:8081")
    client = build_app().test_client()
    emulator = client.get("/config.json").get_json()["firestore_emulator"]
    assert emulator == {"host": host, "port": 8081, "page_hosts": names}
    policy = client.get("/").headers["Content-Security-Policy"]
    assert f"http://{host}:8081" in policy
    assert ("http://*.localhost:8081" in policy) is (names is not None)


def test_api_publishes_a_model_added_to_a_pool_to_the_pools_subscription(
    emulators: Emulators, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscriber = subscriber_client(emulator_host=emulators.pubsub_host)
    project = f"projects/{emulators.names.project_id}"
    subscription = f"{project}/subscriptions/pool-{uuid.uuid4().hex}"
    topic = f"{project}/topics/{emulators.names.tasks_topic}"
    subscriber.create_subscription(
        request={"name": subscription, "topic": topic, "filter": 'attributes.pool = "large"'}
    )

    def submitted_with(pools: str, model: str) -> str:
        monkeypatch.setenv("DARKROOM_MODEL_POOLS", pools)
        answer = build_app().test_client().post(
            "/v1/tasks", json=PROMPT | {"model": model}, headers=dict(headers)
        )  # fmt: skip
        assert answer.status_code == 202, answer.text
        return str(answer.get_json()["id"])

    headers = {"Authorization": client.environ_base["HTTP_AUTHORIZATION"]}
    monkeypatch.setenv("DARKROOM_MODEL_CATALOG", str(THREE_MODELS))
    expected = {
        submitted_with('{"small": ["demo"], "large": ["sdxl"]}', "sdxl"),
        submitted_with('{"small": ["demo"], "large": ["sdxl", "flux"]}', "flux"),
    }
    elsewhere = submitted_with('{"small": ["demo"], "large": ["sdxl", "flux"]}', "demo")

    delivered: set[str] = set()
    while not expected <= delivered:
        pulled = subscriber.pull(subscription=subscription, max_messages=10, timeout=60).received_messages
        delivered |= {message.message.attributes["task_id"] for message in pulled}
    assert elsewhere not in delivered
    subscriber.delete_subscription(subscription=subscription)
