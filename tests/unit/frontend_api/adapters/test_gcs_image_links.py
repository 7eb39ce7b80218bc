"""Signed links: the signed content, how long a link is cached, and errors of the signing service."""

import base64
import json
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import google.auth
import pytest
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import TransportError
from google.auth.transport import requests as google_requests
from google.cloud.storage import Client as StorageClient
from google.oauth2.credentials import Credentials

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

    def __call__(self, url: str, **_: Any) -> IamAnswer:
        self.asked.append(url)
        return self.answer


@pytest.fixture
def iam(monkeypatch: pytest.MonkeyPatch) -> Iam:
    iam = Iam()
    monkeypatch.setattr(google.auth, "default", lambda **_: (Credentials(token="t"), "darkroom-prod"))
    monkeypatch.setattr(google_requests.Request, "__call__", iam)
    return iam


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


def test_links_are_none_when_signing_is_not_configured() -> None:
    assert NoImageLinks().signed(stored_image(submitted_task())) is None
