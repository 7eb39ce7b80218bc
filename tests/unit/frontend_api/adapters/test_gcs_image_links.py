"""Signed links: the signed content, how long a link is cached, and errors of the signing service."""

import base64
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Event
from typing import Any
from urllib.parse import parse_qs, urlsplit

import google.auth
import pytest
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import TransportError
from google.auth.transport import requests as google_requests
from google.cloud.storage import Client as StorageClient
from google.oauth2.credentials import Credentials

from common.domain.images import StoredImage
from frontend_api.adapters import gcs_image_links
from frontend_api.adapters.gcs_image_links import GcsImageLinks, NoImageLinks
from tests.factories import submitted_task
from tests.fakes.fake_clock import FakeClock
from tests.unit.frontend_api.conftest import stored_image

ACCOUNT = "api@darkroom-prod.iam.gserviceaccount.com"


class IamAnswer:
    """The answer of IAM's signBlob; replaces Google's transport."""

    status = 200
    data = json.dumps({"signedBlob": base64.b64encode(b"signature").decode()}).encode()


class Iam:
    """Counts the signing requests."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answer = IamAnswer()
        self.before_answer: Callable[[], object] = lambda: None

    def __call__(self, url: str, **_: Any) -> IamAnswer:
        self.asked.append(url)
        self.before_answer()
        return self.answer


@pytest.fixture
def iam(monkeypatch: pytest.MonkeyPatch) -> Iam:
    iam = Iam()
    monkeypatch.setattr(google.auth, "default", lambda **_: (Credentials(token="t"), "darkroom-prod"))
    monkeypatch.setattr(google_requests.Request, "__call__", iam)
    return iam


class Hang:
    """Lets IAM answer only after the second event. It sets the first one when it is asked."""

    def __init__(self) -> None:
        self.asked, self.may_answer = Event(), Event()

    def __call__(self) -> None:
        self.asked.set()
        assert self.may_answer.wait(30)


@pytest.fixture
def hang() -> Iterator[Hang]:
    hang = Hang()
    yield hang
    hang.may_answer.set()


def image_of(task_id: str) -> StoredImage:
    return stored_image(submitted_task(task_id=task_id))


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def links(clock: FakeClock) -> GcsImageLinks:
    client = StorageClient(project="darkroom-prod", credentials=AnonymousCredentials())
    return GcsImageLinks(
        client, bucket="images", service_account=ACCOUNT, lifetime=timedelta(hours=1), clock=clock
    )


def test_link_names_object_signer_and_expiry(links: GcsImageLinks, iam: Iam, clock: FakeClock) -> None:
    image = stored_image(submitted_task())
    link = links.signed(image)
    assert link is not None
    parts = urlsplit(link.url)
    query = parse_qs(parts.query)
    assert parts.path == f"/images/{image.object_name}"
    assert query["X-Goog-Expires"] == ["3600"]
    assert query["X-Goog-Credential"][0].startswith(ACCOUNT)
    assert query["X-Goog-Signature"] == [b"signature".hex()]
    assert link.expires_at == clock.now() + timedelta(hours=1)
    assert ACCOUNT in iam.asked[0]


def test_link_is_signed_again_after_half_its_lifetime(
    links: GcsImageLinks, iam: Iam, clock: FakeClock
) -> None:
    first = links.signed(stored_image(submitted_task()))
    clock.advance(29 * 60)
    assert links.signed(stored_image(submitted_task())) == first
    clock.advance(2 * 60)
    assert links.signed(stored_image(submitted_task())) != first
    links.signed(stored_image(submitted_task(task_id="task-2")))
    assert len(iam.asked) == 3


def test_there_is_no_link_when_iam_refuses(links: GcsImageLinks, iam: Iam) -> None:
    iam.answer.status = 403
    assert links.signed(stored_image(submitted_task())) is None


def test_iam_that_is_away_is_asked_again_after_a_pause(
    links: GcsImageLinks, iam: Iam, clock: FakeClock
) -> None:
    """Each try delays a response."""
    known = links.signed(stored_image(submitted_task()))
    iam.answer.status = 403
    other = stored_image(submitted_task(task_id="task-2"))
    for _ in range(3):
        assert links.signed(other) is None
    assert len(iam.asked) == 2
    assert links.signed(stored_image(submitted_task())) == known
    clock.advance(10)
    iam.answer.status = 200
    assert links.signed(other) is not None


def test_iam_that_does_not_respond_delays_a_link_by_seconds(
    links: GcsImageLinks, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: list[float] = []

    def hang(_request: object, *_given: object, timeout: float = 120, **_named: object) -> None:
        limits.append(timeout)
        raise TransportError("timed out")

    monkeypatch.setattr(google.auth, "default", lambda **_: (Credentials(token="t"), "darkroom-prod"))
    monkeypatch.setattr(google_requests.Request, "__call__", hang)
    assert links.signed(stored_image(submitted_task())) is None
    assert limits == [2.0]


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_iam_that_fails_is_asked_once(links: GcsImageLinks, iam: Iam, status: int) -> None:
    """The library's signer repeats these after pauses of seconds."""
    iam.answer.status = status
    assert links.signed(image_of("task-1")) is None
    assert len(iam.asked) == 1


def test_one_caller_at_a_time_tries_whether_iam_is_back(
    links: GcsImageLinks, iam: Iam, clock: FakeClock, hang: Hang
) -> None:
    iam.answer.status = 403
    assert links.signed(image_of("task-1")) is None
    clock.advance(10)
    iam.answer.status, iam.before_answer = 200, hang
    with ThreadPoolExecutor(1) as callers:
        trial = callers.submit(links.signed, image_of("task-1"))
        assert hang.asked.wait(10)
        assert links.signed(image_of("task-2")) is None
        assert len(iam.asked) == 2
        hang.may_answer.set()
        assert trial.result(10) is not None
    assert links.signed(image_of("task-2")) is not None


def test_no_response_waits_for_a_link_longer_than_the_limit(
    links: GcsImageLinks, iam: Iam, hang: Hang, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time limit of a connection bounds neither a slow response nor the library's repetitions."""
    iam.before_answer = hang
    monkeypatch.setattr(gcs_image_links, "_SECONDS", 0.05)
    assert links.signed(image_of("task-1")) is None
    assert links.signed(image_of("task-2")) is None
    assert len(iam.asked) == 1


def test_slow_iam_is_not_asked_for_the_other_images_of_a_response(
    links: GcsImageLinks, iam: Iam, clock: FakeClock
) -> None:
    iam.before_answer = lambda: clock.advance(0.6)
    assert links.signed(image_of("task-1")) is not None
    assert [links.signed(image_of(f"task-{n}")) for n in (2, 3, 4)] == [None] * 3
    assert len(iam.asked) == 1


def test_links_are_none_when_signing_is_not_configured() -> None:
    assert NoImageLinks().signed(stored_image(submitted_task())) is None
