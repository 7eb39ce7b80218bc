"""SharedSettings: what both processes must agree on. Read from the environment, prefix `DARKROOM_`."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from common.domain.model_catalog import EMBEDDED_CATALOG, ModelCatalog


class SettingsError(Exception):
    """The configuration cannot be used; the message names the variable and the reason."""


class SharedSettings(BaseSettings):
    """Names of the cloud's things and how to reach them."""

    model_config = SettingsConfigDict(env_prefix="DARKROOM_", frozen=True, extra="ignore")

    project_id: str = "demo-darkroom"
    """The Google Cloud project. Ids that start with `demo-` exist on emulators only."""
    tasks_topic: str = "darkroom-tasks"
    events_topic: str = "darkroom-task-events"
    dead_letter_topic: str = "darkroom-dead-letters"
    images_bucket: str = "darkroom-images"
    model_catalog: Path | None = None
    """A JSON file with the model catalog; without it the embedded one with the demo model."""
    log_level: str = "INFO"
    log_format: str = "json"
    """`json`, as Cloud Logging reads it, or `console` for people."""
    trace_exporter: str = "none"
    """`none`, or `console` to print spans."""

    firestore_emulator_host: Annotated[str | None, Field(validation_alias="FIRESTORE_EMULATOR_HOST")] = None
    pubsub_emulator_host: Annotated[str | None, Field(validation_alias="PUBSUB_EMULATOR_HOST")] = None
    storage_emulator_host: Annotated[str | None, Field(validation_alias="STORAGE_EMULATOR_HOST")] = None

    @property
    def uses_emulators(self) -> bool:
        """Whether Firestore, and so everybody's identity, is the emulator's."""
        return bool(self.firestore_emulator_host)

    def load_catalog(self) -> ModelCatalog:
        """The model catalog in force; raises SettingsError when the file is missing or does not fit."""
        if self.model_catalog is None:
            return EMBEDDED_CATALOG
        try:
            return ModelCatalog.model_validate_json(self.model_catalog.read_bytes())
        except OSError as exc:
            raise SettingsError(f"DARKROOM_MODEL_CATALOG: {self.model_catalog} cannot be read") from exc
        except ValidationError as exc:
            first = exc.errors(include_url=False)[0]
            where = "/".join(str(part) for part in first["loc"])
            raise SettingsError(f"DARKROOM_MODEL_CATALOG: {where}: {first['msg']}") from exc
