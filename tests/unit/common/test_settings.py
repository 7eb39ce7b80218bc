"""Settings come from the environment; an invalid catalog is refused with location and reason."""

import json
from pathlib import Path

import pytest

from common.domain.models.catalog import DEMO_MODEL, EMBEDDED_CATALOG
from common.settings import SettingsError, SharedSettings, read_catalog


def test_settings_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DARKROOM_PROJECT_ID", "pictures")
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", "127.0.0.1:1")
    settings = SharedSettings()
    assert settings.project_id == "pictures"
    assert settings.uses_emulators


def test_embedded_catalog_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DARKROOM_MODEL_CATALOG", raising=False)
    assert SharedSettings().load_catalog() is EMBEDDED_CATALOG


def test_catalog_file_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    other = DEMO_MODEL.model_copy(update={"name": "other"})
    (tmp_path / "models.json").write_text(json.dumps({"models": [other.model_dump(mode="json")]}))
    monkeypatch.setenv("DARKROOM_MODEL_CATALOG", str(tmp_path / "models.json"))
    assert SharedSettings().load_catalog().default == other


def test_source_folder_is_relative_to_the_catalog(tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    sources = {"beside": "weights", "absolute": str(tmp_path / "weights"), "hub": "owner/name"}
    models = [
        {"name": name, "title": name, "family": "stable_diffusion", "source": source}
        for name, source in sources.items()
    ]
    (tmp_path / "models.json").write_text(json.dumps({"models": models}))
    found = {spec.name: spec.source for spec in read_catalog(tmp_path / "models.json").models}
    assert found == {**sources, "beside": str(tmp_path / "weights")}


def test_tokenizer_folder_is_relative_to_the_catalog(tmp_path: Path) -> None:
    (tmp_path / "words").mkdir()
    model = {
        "name": "hub",
        "title": "x",
        "family": "stable_diffusion",
        "source": "owner/name",
        "tokenizer": "words",
    }
    (tmp_path / "models.json").write_text(json.dumps({"models": [model]}))
    (spec,) = read_catalog(tmp_path / "models.json").models
    assert (spec.source, spec.tokenizer) == ("owner/name", str(tmp_path / "words"))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "cannot be read"),
        ("{}", "models: Field required"),
        ('{"models": [{"name": "UPPER", "title": "x", "family": "x", "source": "x"}]}', "models/0/name"),
    ],
)
def test_invalid_catalog_is_rejected_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str | None, reason: str
) -> None:
    path = tmp_path / "models.json"
    if text is not None:
        path.write_text(text)
    monkeypatch.setenv("DARKROOM_MODEL_CATALOG", str(path))
    with pytest.raises(SettingsError, match=reason):
        SharedSettings().load_catalog()
