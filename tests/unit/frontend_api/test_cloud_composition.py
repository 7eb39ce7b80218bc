"""The API as wsgi.py wires it for the cloud: which callers are accepted. No request goes to Google."""

import json

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from flask.testing import FlaskClient

from frontend_api.api_keys.api_key import new_key
from frontend_api.identity.emulator_tokens import unsigned_token
from frontend_api.wsgi import build_app

PROJECT = "darkroom-prod"
EMULATORS = ("FIRESTORE_EMULATOR_HOST", "PUBSUB_EMULATOR_HOST", "STORAGE_EMULATOR_HOST")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> FlaskClient:
    """An API with the test's own service account, whose key has no access anywhere."""
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    account = {
        "type": "service_account",
        "project_id": PROJECT,
        "client_email": f"api@{PROJECT}.iam.gserviceaccount.com",
        "private_key": key.decode(),
        "token_uri": "http://127.0.0.1:9/token",
    }
    credentials = tmp_path_factory.mktemp("cloud") / "account.json"
    credentials.write_text(json.dumps(account))
    with pytest.MonkeyPatch.context() as environment:
        for name in EMULATORS:
            environment.delenv(name, raising=False)
        environment.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(credentials))
        environment.setenv("DARKROOM_PROJECT_ID", PROJECT)
        for exporter in ("DARKROOM_TRACE_EXPORTER", "DARKROOM_METRIC_EXPORTER"):
            environment.setenv(exporter, "none")
        pool = {
            "name": f"projects/{PROJECT}/locations/europe-west4/workerPools/darkroom-worker",
            "models": ["demo"], "max_instances": 2,
        }  # fmt: skip
        environment.setenv("DARKROOM_CLOUD_RUN_WORKERS", json.dumps(pool))
        return build_app().test_client()


UNSIGNED = {"Authorization": f"Bearer {unsigned_token('ada', project_id=PROJECT)}"}
UNVERIFIED = {
    "no credentials": {},
    "an unsigned token": UNSIGNED,
    "the local stack's user": {
        "Authorization": f"Bearer {unsigned_token('local', project_id='demo-darkroom')}"
    },
    "a shared token": {"Authorization": "Bearer known to the scheduler only"},
    "a made-up key": {"X-API-Key": "drk_" + "0" * 54},
    "both": {"X-API-Key": new_key()[1], **UNSIGNED},
}


@pytest.mark.parametrize("headers", UNVERIFIED.values(), ids=UNVERIFIED)
@pytest.mark.parametrize("path", ["/v1/tasks", "/v1/keys", "/v1/queue", "/v1/dead-letters"])
def test_cloud_rejects_unverified_credentials(
    client: FlaskClient, path: str, headers: dict[str, str]
) -> None:
    refused = client.get(path, headers=headers)
    assert (refused.status_code, refused.get_json()["code"]) == (401, "unauthenticated")


def test_cloud_rejects_internal_callers_by_default(client: FlaskClient) -> None:
    for headers in ({}, UNSIGNED):
        assert client.post("/internal/rescue?token=", headers=headers).status_code == 401


def test_cloud_sets_the_size_of_the_configured_pool(client: FlaskClient) -> None:
    managed = client.application.extensions["darkroom"].autoscaling.scale_pool.managed
    assert (managed.name, managed.models) == ("darkroom-worker", ("demo",))
    assert (managed.limits.min_instances, managed.limits.max_instances) == (0, 2)
    assert client.post("/internal/scale-workers").status_code == 401


def test_cloud_page_connects_to_googles_services_only(client: FlaskClient) -> None:
    policy = client.get("/").headers["Content-Security-Policy"]
    assert "*" not in policy
    assert "connect-src 'self' https://firestore.googleapis.com https://storage.googleapis.com" in policy


def test_cloud_page_config_has_no_emulator_and_no_token(client: FlaskClient) -> None:
    configuration = client.get("/config.json").get_json()
    assert configuration["max_share_days"] == 30
    assert [configuration[name] for name in ("firestore_emulator", "mock_user_token", "user_id")] == [
        None
    ] * 3
