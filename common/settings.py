"""Settings that both processes share. Read from the environment, prefix `DARKROOM_`."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict
from pydantic_settings import SettingsError as MalformedSettingError

from common.catalog_file import CatalogEntryError, parse_catalog
from common.domain.models.catalog import EMBEDDED_CATALOG, ModelCatalog
from common.shared_values import SHARED

_NAMED_FIELD = re.compile(r'field "(\w+)"')


class SettingsError(Exception):
    """The configuration is not usable; the message names the variable and the reason."""


class SharedSettings(BaseSettings):
    """Names of cloud resources, and how to reach them."""

    model_config = SettingsConfigDict(env_prefix="DARKROOM_", frozen=True, extra="ignore")

    def __init__(self, **values: Any) -> None:
        """Read the environment. Raises SettingsError, whose message contains no value: it may be a secret."""
        try:
            super().__init__(**values)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            variable = f"{_variable_of(str(first['loc'][0]))}: " if first["loc"] else ""
            raise SettingsError(f"{variable}{_reason(first)}") from None
        except MalformedSettingError as error:
            raise SettingsError(_malformed(str(error))) from None

    project_id: str = "demo-darkroom"
    """The Google Cloud project. Ids that start with `demo-` exist on emulators only."""
    tasks_topic: str = SHARED.topics.tasks
    events_topic: str = SHARED.topics.events
    dead_letter_topic: str = SHARED.topics.dead_letters
    images_bucket: str = "darkroom-images"
    model_catalog: Path | None = None
    """A JSON file with the model catalog; by default the embedded one with the demo model."""
    max_input_bytes: int = Field(default=20_000_000, ge=1_000, le=30_000_000)
    """How many bytes an uploaded picture may have. Cloud Run accepts requests of 32 MiB."""
    max_input_pixels: int = Field(default=16_777_216, ge=4_096)
    """How many pixels an uploaded picture may have; to decode it, a worker needs up to 16 bytes for each."""
    log_level: str = "INFO"
    log_format: str = "json"
    """`json`, as Cloud Logging reads it, or `console` for people."""
    trace_exporter: Literal["auto", "none", "console", "file", "otlp", "google"] = "auto"
    """`auto` exports spans by `otlp` if an endpoint is set, to `google` on Google Cloud, else not."""
    trace_folder: Path = Path("traces")
    """Folder for the exporter `file`: a file per process, a line per span."""
    metric_exporter: Literal["auto", "none", "prometheus", "otlp", "google"] = "auto"
    """Exporter of metrics; `auto` as above, `prometheus` serves them from this process."""
    price_per_gpu_second: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """Price of a useful GPU second, for callers and metrics; without it no prices are shown."""
    price_currency: str = Field(default="USD", pattern="^[A-Z]{3}$")
    """Currency of the prices: an ISO 4217 code."""

    otlp_endpoint: Annotated[str | None, Field(validation_alias="OTEL_EXPORTER_OTLP_ENDPOINT")] = None
    prometheus_host: Annotated[str, Field(validation_alias="OTEL_EXPORTER_PROMETHEUS_HOST")] = "localhost"
    prometheus_port: Annotated[
        int, Field(validation_alias="OTEL_EXPORTER_PROMETHEUS_PORT", ge=0, le=65_535)
    ] = 9464

    firestore_emulator_host: Annotated[str | None, Field(validation_alias="FIRESTORE_EMULATOR_HOST")] = None
    pubsub_emulator_host: Annotated[str | None, Field(validation_alias="PUBSUB_EMULATOR_HOST")] = None
    storage_emulator_host: Annotated[str | None, Field(validation_alias="STORAGE_EMULATOR_HOST")] = None

    @property
    def uses_emulators(self) -> bool:
        """Whether Firestore, and with it the authentication of callers, is an emulator."""
        return bool(self.firestore_emulator_host)

    def load_catalog(self) -> ModelCatalog:
        """Load the model catalog; raises SettingsError if the file is missing or invalid."""
        return EMBEDDED_CATALOG if self.model_catalog is None else read_catalog(self.model_catalog)


def _variable_of(field: str) -> str:
    return field if field.isupper() else f"DARKROOM_{field.upper()}"


def _reason(problem: Mapping[str, Any]) -> str:
    text = str(problem["msg"]).removeprefix("Value error, ")
    return re.sub(r"^[A-Z]\w+ should ", "must ", text)


def _malformed(text: str) -> str:
    """Name the variable in pydantic's error for a value that is not JSON."""
    field = _NAMED_FIELD.search(text)
    return text if field is None else f"{_variable_of(field[1])}: must be JSON"


def read_catalog(path: Path) -> ModelCatalog:
    """Read a file with a model catalog; raises SettingsError if the file is missing or invalid.

    A source or tokenizer given as a folder relative to the catalog's becomes an absolute path.
    Fields that an entry omits are read from the model's folder.
    """
    try:
        return parse_catalog(path.read_bytes(), beside=path.parent.absolute())
    except CatalogEntryError as exc:
        raise SettingsError(f"DARKROOM_MODEL_CATALOG: {exc}") from exc
    except OSError as exc:
        raise SettingsError(f"DARKROOM_MODEL_CATALOG: {path} cannot be read") from exc
    except ValidationError as exc:
        first = exc.errors(include_url=False)[0]
        where = "/".join(str(part) for part in first["loc"])
        raise SettingsError(f"DARKROOM_MODEL_CATALOG: {where}: {first['msg']}") from exc
