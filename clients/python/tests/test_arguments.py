"""Arguments that cannot be sent raise ConfigurationError, and no request is made."""

from collections.abc import Callable
from datetime import date
from typing import Any

import httpx
import pytest

from darkroom import Client, ConfigurationError

SURROGATE = "a\ud83d"


def refuse(request: httpx.Request) -> httpx.Response:
    raise AssertionError(f"sent {request.url}")


CALLS: dict[str, Callable[[Any], object]] = {
    "id that is a number": lambda client: client.get(5),
    "id that is bytes": lambda client: client.cancel(b"task-1"),
    "id that is None": lambda client: client.images(None),
    "empty id": lambda client: client.get(""),
    "id that leads elsewhere": lambda client: client.delete(".."),
    "id with a surrogate": lambda client: client.get(SURROGATE),
    "model without a name": lambda client: client.model(None),
    "filter with a surrogate": lambda client: list(client.list(model=SURROGATE)),
    "timeout that is text": lambda client: client.wait("task-1", timeout_seconds="5"),
    "timeout that is not a number": lambda client: next(
        client.stream("task-1", timeout_seconds=float("nan"))
    ),
    "day that is text": lambda client: client.usage(first="2026-01-01"),
    "time that is a date": lambda client: client.purge_dead_letters(date(2026, 1, 1)),
    "name of a key with a surrogate": lambda client: client.create_key(SURROGATE, ["read"]),
    "submissions that are no list": lambda client: client.submit_many(5),
    "submissions that are one mapping": lambda client: client.submit_many({"prompt": "a"}),
    "submission that is no mapping": lambda client: client.submit_many([{"prompt": "a"}, 3]),
    "submission that is None": lambda client: client.submit_many([None]),
    "submission without a prompt": lambda client: client.submit_many([{"steps": 1}]),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_invalid_argument_is_refused_before_anything_is_sent(call: Callable[[Any], object]) -> None:
    with (
        Client("https://darkroom.example", transport=httpx.MockTransport(refuse)) as client,
        pytest.raises(ConfigurationError),
    ):
        call(client)


@pytest.mark.parametrize(
    "arguments",
    [{"url": b"http://x"}, {"api_key": 5}, {"token": SURROGATE}, {"timeout_seconds": float("nan")}],
    ids=lambda arguments: next(iter(arguments)),
)
def test_invalid_argument_of_the_client_is_refused(arguments: Any) -> None:
    with pytest.raises(ConfigurationError):
        Client(**arguments)
