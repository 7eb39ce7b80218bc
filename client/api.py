"""DarkroomApi: one address, one set of credentials, and answers as parsed JSON or as a ClientError."""

from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx

from client.errors import ClientError, ProblemError, UnexpectedAnswerError, UnreachableError

_TIMEOUT_SECONDS = 30.0
_PAGE_SIZE = 100
Json = dict[str, Any]


class DarkroomApi:
    """The REST API. Every method raises ClientError. A context manager."""

    def __init__(self, url: str, *, token: str | None = None) -> None:
        if token is not None and not (token.isascii() and token.isprintable()):
            raise ClientError("the token cannot be one: it holds characters that no token has")
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._url = url.rstrip("/")
        self._http = httpx.Client(timeout=_TIMEOUT_SECONDS, headers=headers)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def dead_letters(self) -> Iterator[Json]:
        """All of them, newest first; the next page is asked for when it is reached."""
        token: str | None = None
        while True:
            page_query = {"page_size": str(_PAGE_SIZE)} | ({} if token is None else {"page_token": token})
            page = self._call("GET", "/v1/dead-letters", page_query)
            yield from page["dead_letters"]
            token = page["next_page_token"]
            if token is None:
                return

    def dead_letter(self, letter_id: str) -> Json:
        """One, with its body."""
        return self._call("GET", _path_of(letter_id))

    def replay_dead_letter(self, letter_id: str) -> Json:
        """The task that was given another chance."""
        return self._call("POST", f"{_path_of(letter_id)}/replay")

    def delete_dead_letter(self, letter_id: str) -> None:
        """Forget one."""
        self._call("DELETE", _path_of(letter_id))

    def purge_dead_letters(self, older_than: str) -> int:
        """Forget all that died before an RFC 3339 moment, and say how many; in as many calls as it takes."""
        deleted, more = 0, True
        while more:
            purged = self._call("DELETE", "/v1/dead-letters", {"older_than": older_than})
            deleted, more = deleted + purged["deleted"], purged["more"]
        return deleted

    def _call(self, method: str, path: str, query: Mapping[str, str] | None = None) -> Json:
        try:
            answer = self._http.request(method, f"{self._url}{path}", params=query)
        except httpx.InvalidURL as error:
            raise UnreachableError(self._url, str(error)) from error
        except httpx.TransportError as error:
            raise UnreachableError(self._url, str(error) or type(error).__name__) from error
        if answer.status_code == httpx.codes.NO_CONTENT:
            return {}
        try:
            body = answer.json()
        except ValueError as error:
            raise UnexpectedAnswerError(self._url, answer.status_code) from error
        if answer.is_success and isinstance(body, dict):
            return body
        if answer.headers.get("Content-Type") != "application/problem+json":
            raise UnexpectedAnswerError(self._url, answer.status_code)
        raise ProblemError(body, retry_after=answer.headers.get("Retry-After"))


def _path_of(letter_id: str) -> str:
    return f"/v1/dead-letters/{quote(letter_id, safe='')}"
