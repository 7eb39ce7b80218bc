"""InMemorySecretRotations: SecretRotations in a dictionary."""

from datetime import datetime

from frontend_api.webhooks.ports import Rotations


class InMemorySecretRotations:
    def __init__(self) -> None:
        self._rotations: dict[str, Rotations] = {}

    def of(self, user_id: str) -> Rotations:
        return self._rotations.get(user_id, Rotations())

    def add(self, user_id: str, now: datetime) -> Rotations:
        self._rotations[user_id] = Rotations(count=self.of(user_id).count + 1, last_at=now)
        return self._rotations[user_id]
