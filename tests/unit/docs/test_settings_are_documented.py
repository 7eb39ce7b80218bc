"""Every setting is documented with its actual default."""

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic.fields import FieldInfo

from common.settings import SharedSettings
from frontend_api.settings import ApiSettings
from gpu_subscriber.settings import WorkerSettings

PAGE = Path(__file__).parents[3] / "docs" / "operating" / "settings.md"
SHARED = set(SharedSettings.model_fields)


def own_fields(settings: type[SharedSettings]) -> dict[str, FieldInfo]:
    return {name: field for name, field in settings.model_fields.items() if name not in SHARED}


def variable(name: str, field: FieldInfo) -> str:
    return str(field.validation_alias) if field.validation_alias else f"DARKROOM_{name.upper()}"


def documented(section: str) -> dict[str, str]:
    """Return the defaults by variable, from every table row that begins with variables."""
    text = PAGE.read_text().partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`[A-Z_`, ]+`) \| ([^|]*) \|", text, re.MULTILINE)
    return {name: default.strip() for names, default in rows for name in re.findall(r"`([A-Z_]+)`", names)}


@pytest.mark.parametrize(
    ("section", "fields"),
    [
        ("API and worker", dict(SharedSettings.model_fields)),
        ("API", own_fields(ApiSettings)),
        ("Worker", own_fields(WorkerSettings)),
    ],
)
def test_settings_are_documented_with_their_defaults(section: str, fields: dict[str, Any]) -> None:
    defaults = documented(section)
    for name, field in fields.items():
        default = defaults[variable(name, field)]
        if isinstance(field.default, bool):
            assert default == str(field.default).lower(), name
        elif isinstance(field.default, int | float):
            assert float(default) == float(field.default), name
        elif isinstance(field.default, str):
            assert default == field.default, name
        else:
            assert default in ("–", "all"), name
