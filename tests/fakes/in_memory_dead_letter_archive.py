"""InMemoryDeadLetterArchive: a DeadLetterArchive in a dictionary."""

import threading
from dataclasses import replace
from datetime import datetime

from common.ports import InvalidPageTokenError
from frontend_api.dead_letters.dead_letter import DeadLetter, DeadLetterNotFoundError, is_letter_id
from frontend_api.dead_letters.ports import DeadLetterPage
from tests.fakes.outage import Outage


class InMemoryDeadLetterArchive(Outage):
    def __init__(self) -> None:
        self._letters: dict[str, DeadLetter] = {}
        self._lock = threading.RLock()

    def add(self, letter: DeadLetter) -> bool:
        with self._lock:
            self._check()
            return self._letters.setdefault(letter.id, letter) is letter

    def get(self, letter_id: str) -> DeadLetter:
        with self._lock:
            self._check()
            if letter_id not in self._letters:
                raise DeadLetterNotFoundError(letter_id)
            return self._letters[letter_id]

    def list_page(self, *, page_size: int, page_token: str | None = None) -> DeadLetterPage:
        if page_token is not None and not is_letter_id(page_token):
            raise InvalidPageTokenError("this page token was not made here")
        with self._lock:
            self._check()
            ids = sorted((i for i in self._letters if page_token is None or i < page_token), reverse=True)
            letters = tuple(replace(self._letters[letter_id], body=b"") for letter_id in ids[:page_size])
        return DeadLetterPage(
            letters=letters, next_page_token=letters[-1].id if len(ids) > page_size else None
        )

    def record_replay(self, letter_id: str, now: datetime) -> None:
        with self._lock:
            self._letters[letter_id] = replace(self.get(letter_id), replayed_at=now)

    def delete(self, letter_id: str) -> None:
        with self._lock:
            self.get(letter_id)
            del self._letters[letter_id]

    def purge(self, *, died_before: datetime, limit: int) -> int:
        with self._lock:
            self._check()
            old = sorted(
                (letter for letter in self._letters.values() if letter.died_at < died_before),
                key=lambda letter: letter.died_at,
            )[:limit]
            for letter in old:
                del self._letters[letter.id]
            return len(old)
