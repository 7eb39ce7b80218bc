"""The package as one record."""

from dataclasses import dataclass

from common.domain.models.catalog import ModelCatalog


@dataclass(frozen=True, slots=True, kw_only=True)
class Models:
    catalog: ModelCatalog
