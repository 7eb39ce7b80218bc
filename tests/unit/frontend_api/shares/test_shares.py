"""Links to pictures: what they show and to whom, and what ends them."""

import re
import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pytest
from structlog.testing import capture_logs
from werkzeug.test import TestResponse

import frontend_api
from common.domain.task import Task
from frontend_api.identity.caller_address import TrustedProxies
from frontend_api.public_address import PublicAddress
from frontend_api.shares.share import Share
from frontend_api.shares.shares import MAX_SHARES_PER_TASK, Shares, TooManySharesError
from tests.fakes.in_memory_shares import InMemoryShares
from tests.pictures import png
from tests.unit.frontend_api.conftest import Api, signed_in_as, stored_image

PAGE = Path(frontend_api.__file__).parent / "web_client"
PICTURE = png()
HOSTILE = 'a <script>alert(1)</script> & "quotes" \' ＜img src=x onerror=alert(1)>'


def shown_task(api: Api, **changes: Any) -> Task:
    """Store a completed task whose image is a real PNG."""
    task = api.completed_task(**changes)
    api.images.objects[stored_image(task).object_name] = PICTURE
    return task


def share(api: Api, task: Task, **body: Any) -> Any:
    answer = api.client.post(f"/v1/tasks/{task.id}/shares", json=body, headers=signed_in_as(task.user_id))
    assert answer.status_code == 201, answer.get_json()
    return answer.get_json()


def visit(api: Api, url: str, **headers: str) -> TestResponse:
    """Open a link without any credentials."""
    return api.app.test_client().get(url, headers=headers)


def test_link_shows_the_picture_and_its_prompt_without_credentials(api: Api) -> None:
    task = shown_task(api, user_id="ada")
    made = share(api, task)
    page = visit(api, made["url"])
    assert (page.status_code, page.content_type) == (200, "text/html; charset=utf-8")
    assert f">{task.parameters.prompt}</figcaption>" in page.text
    picture = visit(api, f"{made['url']}/image")
    assert (picture.status_code, picture.content_type, picture.data) == (200, "image/png", PICTURE)


def test_link_reveals_nothing_but_picture_prompt_and_expiry(api: Api) -> None:
    task = shown_task(api, user_id="ada-the-owner", labels={"team": "secret-project"})
    made = share(api, task)
    for path in (made["url"], f"{made['url']}/image", made["url"].replace("/s/", "/s/x")):
        answer = visit(api, path)
        shown = f"{answer.headers} {answer.text if answer.mimetype == 'text/html' else ''}"
        for secret in (task.id, task.user_id, "secret-project", str(task.parameters.seed), made["id"]):
            assert secret not in shown


def test_page_of_a_link_runs_no_script_and_is_not_indexed(api: Api) -> None:
    page = visit(api, share(api, shown_task(api))["url"])
    policy = page.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; img-src 'self'; style-src 'sha256-")
    assert "script" not in policy + page.text
    assert page.headers["X-Robots-Tag"] == "noindex"
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert page.headers["Cache-Control"] == "private, no-store"


@pytest.mark.parametrize("made", [True, False])
def test_page_of_a_link_has_the_icon_of_the_main_page(api: Api, made: bool) -> None:
    """Browsers request /favicon.ico, which does not exist, for a page without an icon."""
    shutil.copytree(PAGE / "public", api.folder, dirs_exist_ok=True)  # as the build does
    address = share(api, shown_task(api))["url"] if made else f"/s/{'0' * 24}"
    (link,) = re.findall(r'<link rel="icon" [^>]*href="([^"]+)"', visit(api, address).text)
    (own,) = re.findall(r'<link rel="icon" [^>]*href="([^"]+)"', (PAGE / "index.html").read_text())
    assert urljoin(address, link) == urljoin("/", own)
    icon = visit(api, urljoin(address, link))
    assert (icon.status_code, icon.mimetype) == (200, "image/svg+xml")


def test_prompt_is_escaped_on_the_page_of_a_link(api: Api) -> None:
    made = api.submit(prompt=HOSTILE).get_json()
    task = api.complete(api.claim(api.stored(made["id"])))
    page = visit(api, share(api, task)["url"]).text
    assert "<script" not in page
    assert "a &lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;quotes&quot; &#x27;" in page
    assert set(re.findall(r"<(\w+)", page)) == {
        *("html", "head", "meta", "link", "title", "style", "body", "main"),
        *("figure", "img", "figcaption", "p", "a", "time"),
    }


def test_messengers_find_the_absolute_address_of_the_picture(tmp_path: Path) -> None:
    address = PublicAddress.parse("https://example.com/pictures")
    api = Api(folder=tmp_path, address=address)
    made = share(api, shown_task(api))
    assert made["url"].startswith("/pictures/s/")
    page = visit(api, made["url"]).text
    assert f'<meta property="og:image" content="https://example.com{made["url"]}/image">' in page
    assert f'<img src="{made["url"].rpartition("/")[2]}/image"' in page
    api.subscriptions.shut_down()


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_address_of_the_picture_has_the_scheme_of_the_request(api: Api, scheme: str) -> None:
    made = share(api, shown_task(api))
    page = api.app.test_client().get(made["url"], base_url=f"{scheme}://localhost").text
    assert f'<meta property="og:image" content="{scheme}://localhost{made["url"]}/image">' in page


@pytest.mark.parametrize(
    ("hours", "expected"),
    [(None, timedelta(days=7)), (1, timedelta(hours=1)), (720, timedelta(days=30))],
)
def test_link_ends_after_the_chosen_time(api: Api, hours: int | None, expected: timedelta) -> None:
    made = share(api, shown_task(api), **({} if hours is None else {"expires_in_hours": hours}))
    api.clock.advance(expected.total_seconds() - 1)
    assert visit(api, made["url"]).status_code == 200
    api.clock.advance(1)
    assert visit(api, made["url"]).status_code == 404
    assert visit(api, f"{made['url']}/image").status_code == 404


def ended_links(api: Api) -> dict[str, str]:
    """Return links that show nothing, by the reason."""
    revoked, expired, deleted = (shown_task(api, task_id=name) for name in ("revoked", "expired", "deleted"))
    links = {"unknown": f"/s/{'0' * 24}", "malformed": "/s/x"}
    for task in (revoked, expired, deleted):
        links[task.id] = share(api, task, expires_in_hours=1 if task is expired else 24)["url"]
    (found,) = api.client.get(f"/v1/tasks/{revoked.id}/shares").get_json()["shares"]
    assert api.client.delete(f"/v1/tasks/{revoked.id}/shares/{found['id']}").status_code == 204
    assert api.client.delete(f"/v1/tasks/{deleted.id}").status_code == 204
    api.clock.advance(timedelta(hours=2).total_seconds())
    return links


@pytest.mark.parametrize("part", ["", "/image"])
def test_links_that_ended_get_the_response_of_unknown_ones(api: Api, part: str) -> None:
    answers = {reason: visit(api, f"{link}{part}") for reason, link in ended_links(api).items()}
    assert {answer.status_code for answer in answers.values()} == {404}
    assert len({answer.text for answer in answers.values()}) == 1
    headers = [{k: v for k, v in answer.headers.items() if k != "X-Trace-Id"} for answer in answers.values()]
    assert all(each == headers[0] for each in headers)


def test_deletion_of_a_task_deletes_its_shares(api: Api) -> None:
    task, other = shown_task(api), shown_task(api, task_id="other")
    for each in (task, task, other):
        share(api, each)
    api.client.delete(f"/v1/tasks/{task.id}")
    assert {each.task_id for each in api.shares.all_shares} == {"other"}


def test_link_does_not_show_the_picture_of_a_later_task_with_the_same_id(api: Api) -> None:
    task = shown_task(api)
    made = share(api, task)
    (kept,) = api.shares.all_shares
    api.client.delete(f"/v1/tasks/{task.id}")
    api.shares.add(kept)  # as a program with a worker's rights could
    api.clock.advance(1)
    shown_task(api, task_id=task.id)
    assert visit(api, made["url"]).status_code == 404


def test_link_does_not_show_another_owners_task(api: Api) -> None:
    task = shown_task(api)
    made = share(api, task)
    (kept,) = api.shares.all_shares
    api.shares.add(replace(kept, user_id="bob"))
    assert visit(api, made["url"]).status_code == 404


def test_link_to_a_removed_picture_shows_nothing(api: Api) -> None:
    made = share(api, shown_task(api))
    api.images.objects.clear()
    assert visit(api, f"{made['url']}/image").status_code == 404


def test_picture_that_is_no_image_file_is_not_shown(api: Api) -> None:
    task = shown_task(api)
    made = share(api, task)
    api.images.objects[stored_image(task).object_name] = b"<script>alert(1)</script>"
    assert visit(api, f"{made['url']}/image").status_code == 404


def test_unchanged_picture_is_not_sent_again(api: Api) -> None:
    url = f"{share(api, shown_task(api))['url']}/image"
    first = visit(api, url)
    assert first.headers["Cache-Control"] == "private, no-cache"
    again = visit(api, url, **{"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


def test_token_is_shown_once_and_stored_as_a_hash(api: Api) -> None:
    task = shown_task(api)
    made = share(api, task)
    token = made["url"].removeprefix("/s/")
    assert re.fullmatch(r"[0-9A-Za-z]{24}", token)
    assert token not in repr(api.shares.all_shares)
    (listed,) = api.client.get(f"/v1/tasks/{task.id}/shares").get_json()["shares"]
    assert listed == {name: value for name, value in made.items() if name != "url"}


def test_list_has_only_the_active_links_of_one_task_newest_first(api: Api) -> None:
    task, other = shown_task(api), shown_task(api, task_id="other")
    share(api, task, expires_in_hours=1)
    share(api, other)
    api.clock.advance(timedelta(hours=1).total_seconds())
    made = []
    for _ in range(3):
        made.append(share(api, task)["id"])
        api.clock.advance(1)
    listed = api.client.get(f"/v1/tasks/{task.id}/shares").get_json()["shares"]
    assert [each["id"] for each in listed] == made[::-1]


@pytest.mark.parametrize("share_id", ["0" * 32, "x", "É"])
def test_revocation_of_an_unknown_link_is_not_found(api: Api, share_id: str) -> None:
    task = shown_task(api)
    refused = api.client.delete(f"/v1/tasks/{task.id}/shares/{share_id}")
    assert (refused.status_code, refused.get_json()["code"]) == (404, "share_not_found")


def test_link_of_another_task_is_not_revoked(api: Api) -> None:
    task, other = shown_task(api), shown_task(api, task_id="other")
    made = share(api, other)
    assert api.client.delete(f"/v1/tasks/{task.id}/shares/{made['id']}").status_code == 404
    assert visit(api, made["url"]).status_code == 200


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"image_index": 1}, 404, "image_not_found"),
        ({"image_index": -1}, 422, "parameters_rejected"),
        ({"expires_in_hours": 0}, 422, "parameters_rejected"),
        ({"expires_in_hours": 721}, 422, "parameters_rejected"),
        ({"expires_at": "2026-01-01T00:00:00Z"}, 422, "parameters_rejected"),
    ],
)
def test_create_refuses_invalid_fields(api: Api, body: dict[str, Any], status: int, code: str) -> None:
    refused = api.client.post(f"/v1/tasks/{shown_task(api).id}/shares", json=body)
    assert (refused.status_code, refused.get_json()["code"]) == (status, code)
    assert api.shares.all_shares == ()


def test_create_accepts_an_empty_body(api: Api) -> None:
    made = api.client.post(f"/v1/tasks/{shown_task(api).id}/shares")
    assert (made.status_code, made.get_json()["image_index"]) == (201, 0)


def test_number_of_links_of_a_task_is_limited(api: Api) -> None:
    task = shown_task(api)
    for _ in range(MAX_SHARES_PER_TASK):
        last = share(api, task, expires_in_hours=1)
    refused = api.client.post(f"/v1/tasks/{task.id}/shares")
    assert (refused.status_code, refused.get_json()["code"]) == (409, "too_many_shares")
    api.client.delete(f"/v1/tasks/{task.id}/shares/{last['id']}")
    share(api, task)
    api.clock.advance(timedelta(hours=1).total_seconds())
    share(api, task)


def test_concurrent_creations_do_not_exceed_the_limit(api: Api) -> None:
    class Raced(InMemoryShares):
        """A store in which another call stores a share between the check and the write."""

        def add(self, added: Share) -> None:
            super().add(replace(added, id="f" * 32))
            super().add(added)

    task, store = shown_task(api), Raced()
    shares = Shares(store=store, tasks=api.store, clock=api.clock, max_lifetime=timedelta(days=30))
    for _ in range(MAX_SHARES_PER_TASK - 2):
        shares.create(task, image_index=0, lifetime=None)
    shares.create(task, image_index=0, lifetime=None)
    with pytest.raises(TooManySharesError):
        shares.create(task, image_index=0, lifetime=None)
    assert len(store.all_shares) == MAX_SHARES_PER_TASK


def test_deployment_without_links_creates_and_shows_none(tmp_path: Path) -> None:
    task = shown_task(before := Api(folder=tmp_path))
    made = share(before, task)
    api = Api(
        folder=tmp_path,
        store=before.store,
        shares=before.shares,
        images=before.images,
        clock=before.clock,
        max_share_lifetime=timedelta(),
    )
    refused = api.client.post(f"/v1/tasks/{task.id}/shares")
    assert (refused.status_code, refused.get_json()["code"]) == (404, "sharing_not_offered")
    assert visit(api, made["url"]).status_code == 404
    assert api.client.get(f"/v1/tasks/{task.id}/shares").get_json() == {"shares": []}
    for each in (before, api):
        each.subscriptions.shut_down()


def test_requests_for_links_are_limited_per_network_address(tmp_path: Path) -> None:
    api = Api(folder=tmp_path, share_requests_per_minute=2, proxies=TrustedProxies(count=1))
    url = share(api, shown_task(api))["url"]
    reads = [visit(api, path, **{"X-Forwarded-For": "6.6.6.6, 192.0.2.1"}) for path in (url, "/s/x", url)]
    assert [answer.status_code for answer in reads] == [200, 404, 429]
    assert int(reads[-1].headers["Retry-After"]) > 0
    assert reads[-1].content_type.startswith("text/html")
    assert visit(api, url, **{"X-Forwarded-For": "6.6.6.6, 192.0.2.2"}).status_code == 200
    api.clock.advance(60)
    assert visit(api, url, **{"X-Forwarded-For": "192.0.2.1"}).status_code == 200
    api.subscriptions.shut_down()


def test_link_is_unavailable_while_the_store_is(api: Api) -> None:
    url = share(api, shown_task(api))["url"]
    api.shares.unavailable = True
    assert visit(api, url).status_code == 503


def test_tokens_are_in_no_log(api: Api) -> None:
    """The log has the route instead of the address."""
    with capture_logs() as logged:
        url = share(api, shown_task(api))["url"]
        visit(api, url)
    assert any(line.get("route") == "/s/<token>" for line in logged)
    assert url.removeprefix("/s/") not in repr(logged)
