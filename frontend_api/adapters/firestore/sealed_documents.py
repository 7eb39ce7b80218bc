"""SealedDocuments: the seals of one collection's documents, which workers could write, too (ADR 41)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from common.adapters.firestore_values import plain
from common.observability.metrics import RECORDS_REFUSED, counter
from frontend_api.record_seal import RecordSeal

_SEAL = "seal"
_log = structlog.get_logger(__name__)
_refused = counter(RECORDS_REFUSED)


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedDocuments:
    """Every field is sealed but the `unsealed` ones. Each document contains its own id."""

    seal: RecordSeal
    record: str
    """The name of a record in logs and metrics, such as `api_key`."""
    refusal: str
    """The log event of a refusal."""
    unsealed: frozenset[str] = frozenset()

    def with_seal(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        return {**fields, _SEAL: self.seal.of(self._kind, self._sealed_part(fields))}

    def accepts(self, snapshot: Any) -> bool:
        """Return whether the API wrote the document under this id. Logs and counts a refusal."""
        document = plain(snapshot.to_dict())
        is_own = document.get("id") == snapshot.id
        if is_own and self.seal.is_valid(self._kind, self._sealed_part(document), document.get(_SEAL)):
            return True
        _refused.add(1, {"record": self.record})
        reason = "the seal is missing or invalid"
        _log.warning(self.refusal, reason=reason, **{f"{self.record}_id": snapshot.id})
        return False

    @property
    def _kind(self) -> str:
        return self.record.replace("_", " ")

    def _sealed_part(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in fields.items() if name not in {_SEAL, *self.unsealed}}
