"""Ports of the inputs: the bucket, and the tasks that use them."""

from datetime import datetime
from typing import Protocol

from frontend_api.inputs.stored_input import StoredInput


class InputExistsError(Exception):
    """The owner has an input with this id."""


class InputStore(Protocol):
    """The bucket's folder of each owner. Every method raises DependencyUnavailableError.

    Deletion and use of the same input exclude each other without a lock. A deletion first withdraws
    `is_kept`, then asks InputUses, then deletes on the condition that the input has not changed. A
    submission first stores its task, then calls `keep` unless the input is kept. So either the
    deletion finds the task, or `keep` changes the input, or `keep` finds it deleted.
    """

    def create(self, stored: StoredInput, content: bytes) -> StoredInput:
        """Store a new input, atomically. Raises InputExistsError."""

    def get(self, object_name: str) -> StoredInput:
        """Return an input, expired or not. Raises InputNotFoundError."""

    def read(self, stored: StoredInput) -> bytes:
        """Return its bytes. Raises InputNotFoundError."""

    def keep(self, stored: StoredInput, *, until: datetime, for_tasks: bool) -> StoredInput:
        """Change the input so that it expires at `until` or later; with `for_tasks` it is kept.

        A change by another process is read and changed again. Raises InputNotFoundError.
        """

    def withdraw(self, stored: StoredInput) -> StoredInput:
        """Return the input after it was changed to be no longer kept. Raises InputNotFoundError."""

    def delete_unchanged(self, stored: StoredInput) -> bool:
        """Delete the input and return true, or return false if it has changed since it was returned."""

    def bytes_in(self, folder: str, *, each_at_least: int) -> int:
        """Return the size of all inputs of an owner, given by their folder.

        Smaller inputs count as `each_at_least` bytes.
        """

    def list_expired(self, *, now: datetime) -> tuple[StoredInput, ...]:
        """Return inputs whose `expires_at` is past: all of them, or the first of very many."""


class UploadSessions(Protocol):
    """Files that arrive in the bucket in parts. Every method raises DependencyUnavailableError."""

    def start(self, name: str, *, size_bytes: int, content_type: str, origin: str | None) -> str:
        """Return a URL that accepts a file of this size by Cloud Storage's resumable protocol.

        No credentials are needed there. `origin` is that of a page that may use it.
        """

    def read(self, name: str) -> bytes:
        """Return the file, which has arrived completely. Raises UploadNotFoundError."""

    def delete(self, name: str) -> None:
        """Delete the file, if there is one."""

    def remove_older(self, moment: datetime) -> None:
        """Delete all files that arrived before this time."""


class InputUses(Protocol):
    """The tasks that use an input."""

    def is_used(self, object_name: str) -> bool:
        """Return whether any stored task uses it. Raises DependencyUnavailableError."""
