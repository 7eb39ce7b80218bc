"""The system behind nginx with Debian's default configuration and one more block, below a path."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import httpx
import openai
import pytest
from playwright.sync_api import expect, sync_playwright

from darkroom import Client
from local_stack.loopback import free_port, is_free
from tests.browser.conftest import QUIET_CHROMIUM, find_chromium
from tests.system.conftest import System, start

pytestmark = pytest.mark.end_to_end
PROMPT = "a large red circle above a small blue square"
DEFAULTS = Path("/etc/nginx/nginx.conf")
READY_WITHIN_SECONDS = 120
SITE = """
server {{
    listen 127.0.0.1:{port};
    root /var/www/html;
    location /pictures/ {{
        proxy_pass http://127.0.0.1:{api_port}/;
    }}
}}
client_body_temp_path {folder}/body;
proxy_temp_path {folder}/proxy;
fastcgi_temp_path {folder}/fastcgi;
uwsgi_temp_path {folder}/uwsgi;
scgi_temp_path {folder}/scgi;
"""


def start_nginx(exits: ExitStack, folder: Path, *, port: int, api_port: int) -> None:
    """Start nginx with the distribution's file; only the folders that it writes to are others."""
    nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if nginx is None or not DEFAULTS.exists():
        pytest.skip("no nginx: `make browser` installs one")
    site, configuration = folder / "site.conf", folder / "nginx.conf"
    site.write_text(SITE.format(port=port, api_port=api_port, folder=folder))
    configuration.write_text(
        DEFAULTS.read_text()
        .replace("/etc/nginx/sites-enabled/*", str(site))
        .replace("/run/nginx.pid", f"{folder}/pid")
        .replace("/var/log/nginx", str(folder))
    )
    command = [nginx, "-c", str(configuration), "-e", f"{folder}/error.log", "-g", "daemon off;"]
    process = subprocess.Popen(command)

    def stop() -> None:
        process.send_signal(signal.SIGTERM)
        process.wait(30)

    exits.callback(stop)
    deadline = time.monotonic() + READY_WITHIN_SECONDS
    while is_free(port):
        assert process.poll() is None, (folder / "error.log").read_text()
        assert time.monotonic() < deadline, "nginx does not listen"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def address() -> str:
    """The address of a system that nginx offers below a path."""
    return f"http://localhost:{free_port()}/pictures/"


@pytest.fixture(scope="module", autouse=True)
def system(address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """The system behind nginx."""
    with ExitStack() as exits:
        folder = tmp_path_factory.mktemp("nginx")
        folder.chmod(0o755)  # nginx's workers have a user of their own
        settings = {"DARKROOM_PUBLIC_URL": address}
        system = start(exits, tmp_path_factory.mktemp("system"), extra_environment=settings)
        port = urlsplit(address).port
        assert port is not None
        start_nginx(exits, folder, port=port, api_port=system.stack.ports["api"])
        yield system


@pytest.fixture
def http(address: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=address, trust_env=False, timeout=120) as client:
        yield client


def test_every_address_in_a_response_leads_back(http: httpx.Client) -> None:
    answer = http.post("v1/tasks", json={"prompt": PROMPT, "steps": 4}, headers={"Prefer": "wait=50"})
    task = answer.json()
    assert (answer.status_code, task["status"]) == (200, "completed")
    for path in (answer.headers["Location"], task["urls"]["self"]):
        assert http.get(urljoin(str(answer.url), path)).json()["id"] == task["id"]
    (image,) = task["images"]
    assert http.get(urljoin(str(answer.url), image["url"])).content.startswith(b"\x89PNG")
    assert http.post(urljoin(str(answer.url), task["urls"]["cancel"])).status_code == 200
    (server,) = http.get("openapi.json").json()["servers"]
    assert http.get(f"{urljoin(str(answer.url), server['url'])}/v1/models").status_code == 200
    refused = http.post("v1/tasks", json={})
    explained = http.get(urljoin(str(answer.url), refused.json()["type"]), follow_redirects=True)
    assert (explained.status_code, explained.url.path) == (200, "/pictures/docs")


def test_events_arrive_while_the_task_is_processed(system: System, http: httpx.Client) -> None:
    with system.held_engine():
        task = http.post("v1/tasks", json={"prompt": PROMPT, "steps": 100}).json()
        with http.stream("GET", f"v1/tasks/{task['id']}/events") as events:
            lines = events.iter_lines()
            # The proxy passes an event on before the response ends.
            assert any('"denoising"' in line for line in lines)
            http.post(f"v1/tasks/{task['id']}/cancel")
            assert any('"status":"cancelled"' in line for line in lines)


def test_darkroom_client_works(address: str) -> None:
    with Client(address) as client:
        images = client.generate(PROMPT, steps=4).images
        assert images[0].content.startswith(b"\x89PNG")


def test_openai_client_works(address: str, http: httpx.Client) -> None:
    with openai.OpenAI(base_url=f"{address}openai/v1", api_key="local", max_retries=0) as client:
        made = client.images.generate(prompt=PROMPT, response_format="url", extra_body={"steps": 4})
        assert made.data is not None
        assert made.data[0].url is not None
        assert made.data[0].url.startswith(address)
        assert http.get(made.data[0].url).content.startswith(b"\x89PNG")
        stream = client.images.generate(prompt=PROMPT, stream=True, extra_body={"steps": 4})
        assert [event.type for event in stream] == ["image_generation.completed"]


@pytest.mark.browser
def test_page_generates_an_image(address: str) -> None:
    chromium = find_chromium()
    if chromium is None:
        pytest.skip("no Chromium: `make browser` installs one")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(QUIET_CHROMIUM))
        page = browser.new_page()
        page.set_default_timeout(120_000)
        failed: list[str] = []
        page.on("response", lambda answer: failed.append(answer.url) if answer.status >= 400 else None)
        page.goto(address)
        page.get_by_test_id("prompt-input").fill("a small green star")
        page.get_by_test_id("submit-button").click()
        card = page.get_by_test_id("task-card").filter(has_text="a small green star")
        image = card.get_by_test_id("task-image")
        expect(image).to_be_visible(timeout=120_000)
        assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") == 256
        for link, title in (("Operations", "darkroom operations"), ("API reference", "darkroom API")):
            page.get_by_role("link", name=link).first.click()
            expect(page).to_have_title(title, timeout=120_000)
            assert page.url.startswith(address)
        browser.close()
    assert failed == []
