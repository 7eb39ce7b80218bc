"""The web client's Firestore requests over plain HTTP, without a browser."""

import base64
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx
import tenacity


class PageClient:
    """One page's listener to the tasks of a user. `environment` is that of a stack."""

    def __init__(
        self,
        environment: Mapping[str, str],
        user_id: str,
        *,
        token: str | None = None,
        origin: str = "http://localhost:8080",
    ) -> None:
        self._database = f"projects/{environment['GOOGLE_CLOUD_PROJECT']}/databases/(default)"
        host = environment["DARKROOM_FIRESTORE_BROWSER_HOST"]
        self.url = f"http://{host}/google.firestore.v1.Firestore/Listen/channel"
        self.http = httpx.Client(timeout=60, headers={"Origin": origin})
        self._authorization = token or unsigned_token(user_id)
        self._user_id = user_id
        self.session_id = ""
        self.last = 0

    def open(self) -> httpx.Response:
        query = {
            "from": [{"collectionId": "tasks"}],
            "limit": 51,  # as in the page
            "where": {
                "fieldFilter": {
                    "field": {"fieldPath": "user_id"},
                    "op": "EQUAL",
                    "value": {"stringValue": self._user_id},
                }
            },
        }
        parent = f"{self._database}/documents"
        message = {
            "database": self._database,
            "addTarget": {"query": {"structuredQuery": query, "parent": parent}, "targetId": 2},
        }
        form = {
            "headers": f"X-Goog-Api-Client:gl-js/\r\nAuthorization:Bearer {self._authorization}\r\n",
            "count": "1",
            "ofs": "0",
            "req0___data__": json.dumps(message),
        }
        answer = self.http.post(self.url, params=self._parameters(RID="1", CVER="22"), data=form)
        if answer.is_success:
            [[_, [kind, self.session_id, *_rest]]] = json.loads(answer.text.partition("\n")[2])
            assert kind == "c"
        return answer

    @contextmanager
    def reading(self) -> Iterator[Iterator[dict[str, Any]]]:
        """Yield the messages from now on.

        Closes the connection without notice, as a closed tab does.
        """
        parameters = self._parameters(
            RID="rpc", SID=self.session_id, AID=str(self.last), CI="0", TYPE="xmlhttp"
        )
        with self.http.stream("GET", self.url, params=parameters) as answer:
            assert answer.status_code == 200
            yield self._messages(answer.iter_text())

    def close(self) -> httpx.Response:
        return self.http.get(
            self.url, params=self._parameters(RID="2", SID=self.session_id, TYPE="terminate")
        )

    def _messages(self, texts: Iterator[str]) -> Iterator[dict[str, Any]]:
        unread = ""
        for text in texts:
            unread += text
            while "\n" in unread:
                length, _, rest = unread.partition("\n")
                if len(rest) < int(length):
                    break
                arrays, unread = json.loads(rest[: int(length)]), rest[int(length) :]
                for number, array in arrays:
                    self.last = number
                    if isinstance(array[0], dict):
                        yield array[0]

    def _parameters(self, **given: str) -> dict[str, str]:
        return {"VER": "8", "database": self._database, "zx": "x", "t": "1", **given}


def unsigned_token(user_id: str) -> str:
    def encoded(part: dict[str, str]) -> str:
        return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")

    return f"{encoded({'alg': 'none', 'typ': 'JWT'})}.{encoded({'sub': user_id})}."


class StreamEndedError(Exception):
    """The emulator has ended the stream, which it may do at any time."""


reconnects = tenacity.retry(
    retry=tenacity.retry_if_exception_type(StreamEndedError),
    stop=tenacity.stop_after_attempt(5),
    reraise=True,
)
"""Decorates a function that opens a channel: after the end of its stream, a page opens another."""


def changed_document(messages: Iterator[dict[str, Any]]) -> str:
    """Return the id of the next document in the messages. Raises StreamEndedError."""
    for message in messages:
        _check(message)
        if "documentChange" in message:
            return str(message["documentChange"]["document"]["name"].rpartition("/")[2])
    raise StreamEndedError


def until_current(messages: Iterator[dict[str, Any]]) -> None:
    """Read until the page has all documents. Raises StreamEndedError."""
    for message in messages:
        _check(message)
        if message.get("targetChange", {}).get("targetChangeType") == "CURRENT":
            return
    raise StreamEndedError


def _check(message: dict[str, Any]) -> None:
    if "error" in message:
        raise StreamEndedError(message["error"])
