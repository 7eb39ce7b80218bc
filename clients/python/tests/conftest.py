"""Fixtures of the SDK's tests."""

import pytest

from scripted import ScriptedApi


@pytest.fixture
def api() -> ScriptedApi:
    return ScriptedApi()
