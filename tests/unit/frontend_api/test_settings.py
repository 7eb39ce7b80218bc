"""Valid and invalid configurations."""

import subprocess
import sys
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from common.settings import SettingsError
from frontend_api.settings import ApiSettings

THREE_MODELS = Path(__file__).parents[3] / "terraform" / "tests" / "three_models.json"
EMULATORS = {
    "FIRESTORE_EMULATOR_HOST": "127.0.0.1:1",
    "PUBSUB_EMULATOR_HOST": "127.0.0.1:2",
    "STORAGE_EMULATOR_HOST": "http://127.0.0.1:3",
}


def check(monkeypatch: pytest.MonkeyPatch, **environment: str) -> None:
    for name in EMULATORS:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    ApiSettings().check()


def test_check_accepts_local_and_cloud_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    check(monkeypatch, **EMULATORS, DARKROOM_INTERNAL_TOKEN="x")
    monkeypatch.delenv("DARKROOM_INTERNAL_TOKEN")
    check(
        monkeypatch,
        DARKROOM_PROJECT_ID="darkroom-prod",
        DARKROOM_INTERNAL_AUDIENCE="https://darkroom.example",
        DARKROOM_INTERNAL_SERVICE_ACCOUNT="scheduler@darkroom-prod.iam.gserviceaccount.com",
        DARKROOM_FIREBASE_WEB_CONFIG='{"apiKey": "x", "projectId": "darkroom-prod"}',
    )


UNSAFE = {
    "emulators for a real project": {**EMULATORS, "DARKROOM_PROJECT_ID": "darkroom-prod"},
    "a demo project without emulators": {},
    "one emulator": {"FIRESTORE_EMULATOR_HOST": "127.0.0.1:1"},
    "an emulator without a host": {**EMULATORS, "PUBSUB_EMULATOR_HOST": ""},
    "emulators without hosts": dict.fromkeys(EMULATORS, ""),
    "a shared token in the cloud": {"DARKROOM_PROJECT_ID": "p", "DARKROOM_INTERNAL_TOKEN": "x"},
    "an empty token": {**EMULATORS, "DARKROOM_INTERNAL_TOKEN": ""},
    "a blank token": {**EMULATORS, "DARKROOM_INTERNAL_TOKEN": " "},
    "a page that signs users in to another project": {
        "DARKROOM_PROJECT_ID": "p",
        "DARKROOM_FIREBASE_WEB_CONFIG": '{"projectId": "q"}',
    },
    "an audience without an account": {"DARKROOM_PROJECT_ID": "p", "DARKROOM_INTERNAL_AUDIENCE": "x"},
}


@pytest.mark.parametrize("environment", UNSAFE.values(), ids=UNSAFE)
def test_check_rejects_unsafe_settings(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match=r"DARKROOM_|EMULATOR"):
        check(monkeypatch, **environment)


INVALID = {
    "DARKROOM_PUBLIC_URL": ("pictures", "must be an http(s) URL with a host"),
    "DARKROOM_CORS_ORIGINS": (
        '["https://a.example/x"]',
        "must be scheme and host, in lower case and without a path",
    ),
    "DARKROOM_WEBHOOK_PRIVATE_RECEIVERS": (
        '["10.0.0.1/8"]',
        "must be networks, addresses or host names (got '10.0.0.1/8')",
    ),
    "DARKROOM_WEBHOOK_KEY": ("too short", "must have at least 32 items after validation, not 9"),
    "DARKROOM_MAX_WAITING": ("-1", "must be greater than or equal to 0"),
    "DARKROOM_OPERATORS": ("nobody", "must be JSON"),
    "OTEL_EXPORTER_PROMETHEUS_PORT": ("70000", "must be less than or equal to 65535"),
}


@pytest.mark.parametrize(("variable", "case"), INVALID.items(), ids=INVALID)
def test_invalid_value_is_reported_with_its_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, case: tuple[str, str]
) -> None:
    value, reason = case
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as refused:
        ApiSettings()
    assert str(refused.value) == f"{variable}: {reason}"
    assert refused.value.__suppress_context__  # a traceback would show the value, which may be a secret


@pytest.mark.parametrize(
    ("invalid", "reason"),
    [
        ({"DARKROOM_PROJECT_ID": "darkroom-prod"}, "must start with demo- when emulators are used"),
        ({"DARKROOM_PUBLIC_URL": "pictures"}, "DARKROOM_PUBLIC_URL: must be an http(s) URL with a host"),
    ],
)
def test_process_exits_with_the_settings_error(invalid: dict[str, str], reason: str) -> None:
    environment = {"FIRESTORE_EMULATOR_HOST": "127.0.0.1:1", "PUBSUB_EMULATOR_HOST": "127.0.0.1:2"}
    started = subprocess.run(
        [
            *(sys.executable, "-m", "gunicorn", "--config", "frontend_api/gunicorn_conf.py"),
            *("--bind", "127.0.0.1:0", "frontend_api.wsgi:build_app()"),
        ],
        cwd=Path(__file__).parents[3],
        env={**environment, "STORAGE_EMULATOR_HOST": "http://x", **invalid},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert started.returncode != 0
    assert reason in started.stderr
    assert "Traceback" not in started.stderr


def test_addresses_of_load_balancers_are_read_in_terraforms_form(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DARKROOM_TRUSTED_PROXY_ADDRESSES", '["203.0.113.7","2001:db8:b:1::"]')
    assert [str(address) for address in ApiSettings().trusted_proxy_addresses] == [
        "203.0.113.7",
        "2001:db8:b:1::",
    ]


@pytest.mark.parametrize(
    "workers",
    ['{"name": "darkroom-worker", "models": ["demo"], "max_instances": 1}', '{"models": ["demo"]}', "[]"],
)
def test_cloud_run_workers_are_refused_without_a_resource_name(
    monkeypatch: pytest.MonkeyPatch, workers: str
) -> None:
    monkeypatch.setenv("DARKROOM_CLOUD_RUN_WORKERS", workers)
    with pytest.raises(SettingsError, match="DARKROOM_CLOUD_RUN_WORKERS"):
        ApiSettings()


def test_model_pools_map_each_model_to_its_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DARKROOM_MODEL_POOLS", '{"small": ["demo"], "large": ["sdxl", "flux"]}')
    assert ApiSettings().pool_of_each_model() == {"demo": "small", "sdxl": "large", "flux": "large"}


def test_model_pools_are_empty_by_default() -> None:
    assert ApiSettings().pool_of_each_model() == {}


def test_model_pools_are_refused_when_a_model_is_in_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DARKROOM_MODEL_POOLS", '{"a": ["demo"], "b": ["demo"]}')
    with pytest.raises(SettingsError, match="model 'demo' is in the pools 'a' and 'b'"):
        ApiSettings().pool_of_each_model()


def test_models_in_no_pool_are_not_on_offer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DARKROOM_MODEL_CATALOG", str(THREE_MODELS))
    monkeypatch.setenv("DARKROOM_MODEL_POOLS", '{"small": ["demo"], "large": ["sdxl"]}')
    with capture_logs() as logs:
        offered = ApiSettings().load_catalog()
    assert [model.name for model in offered.models] == ["demo", "sdxl"]
    assert [(line["event"], line["models"]) for line in logs] == [("models_in_no_pool", ["flux"])]


def test_model_pools_are_refused_when_none_has_a_model_on_offer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DARKROOM_MODEL_POOLS", '{"large": ["sdxl"]}')
    with pytest.raises(SettingsError, match=r"no pool has a model of the model catalog \(demo\)"):
        ApiSettings().load_catalog()
