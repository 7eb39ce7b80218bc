"""Which configurations run, and which must not."""

from typing import Any

import pytest

from common.settings import SettingsError
from frontend_api.settings import ApiSettings

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


def test_the_local_stack_and_the_cloud_run(monkeypatch: pytest.MonkeyPatch) -> None:
    check(monkeypatch, **EMULATORS, DARKROOM_INTERNAL_TOKEN="x")
    monkeypatch.delenv("DARKROOM_INTERNAL_TOKEN")
    check(
        monkeypatch,
        DARKROOM_PROJECT_ID="darkroom-prod",
        DARKROOM_INTERNAL_AUDIENCE="https://darkroom.example",
        DARKROOM_INTERNAL_SERVICE_ACCOUNT="scheduler@darkroom-prod.iam.gserviceaccount.com",
        DARKROOM_FIREBASE_WEB_CONFIG='{"apiKey": "x"}',
    )


@pytest.mark.parametrize(
    "environment",
    [
        pytest.param(
            {**EMULATORS, "DARKROOM_PROJECT_ID": "darkroom-prod"}, id="emulators for a real project"
        ),
        pytest.param({}, id="a demo project without emulators"),
        pytest.param({"FIRESTORE_EMULATOR_HOST": "127.0.0.1:1"}, id="one emulator"),
        pytest.param({**EMULATORS, "PUBSUB_EMULATOR_HOST": ""}, id="an emulator without a host"),
        pytest.param(dict.fromkeys(EMULATORS, ""), id="emulators without hosts"),
        pytest.param(
            {"DARKROOM_PROJECT_ID": "p", "DARKROOM_INTERNAL_TOKEN": "x"}, id="a shared token in the cloud"
        ),
        pytest.param(
            {"DARKROOM_PROJECT_ID": "p", "DARKROOM_INTERNAL_AUDIENCE": "x"}, id="an audience of nobody"
        ),
    ],
)
def test_what_must_not_run_does_not(monkeypatch: pytest.MonkeyPatch, environment: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=r"DARKROOM_|EMULATOR"):
        check(monkeypatch, **environment)
